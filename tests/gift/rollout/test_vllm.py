"""A real vLLM beside the rank: it samples from the trainer's newest weights, and never outlives its rank."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from gift.config import LoraConfig
from gift.config.surroundings import VLLM_WEIGHTS
from gift.errors import GiftError
from gift.policy.log_probabilities import trainable_model
from gift.rollout import vllm_process
from gift.rollout.choose import open_engine
from gift.rollout.engine import RolloutEngine
from gift.rollout.vllm_process import error_in, vllm_environment
from gift.rollout.weights import Weights, sums_of
from gift.training.engine_check import SyncCheck, check_engine, mean_difference
from tests.gift.rollout.tiny_models import ENDS, PAD, vllm_config, write_model

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
CONFIG = vllm_config()
PROMPTS = [[5, 6, 7], list(range(10, 50)), [8]]  # the second is longer than a block of vLLM's prefix cache
BOUND = 1e-5
"""In nats per token, mean absolute difference in float32; measured 2e-7."""


@dataclass
class Running:
    model: LlamaForCausalLM
    engine: RolloutEngine
    tied: bool


@pytest.fixture(scope="module")
def shared_memory() -> Iterator[Path]:
    """A part of it that no other test puts weights into."""
    with (
        tempfile.TemporaryDirectory(prefix="gift-test-", dir="/dev/shm") as folder,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv(VLLM_WEIGHTS, folder)
        yield Path(folder)


@pytest.fixture(scope="module", params=["tied", "untied"])
def opened(
    request: pytest.FixtureRequest, shared_memory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    tied = request.param == "tied"
    folder = tmp_path_factory.mktemp(request.param)
    model = write_model(folder, tied=tied)
    with open_engine(CONFIG, folder, CPU, ends=ENDS, pad=PAD) as engine:
        yield Running(model, engine, tied)
    assert workers() == []


@pytest.fixture
def running(opened: Running) -> Running:
    opened.engine.refresh(opened.model)
    return opened


def workers() -> list[psutil.Process]:
    """The vLLM processes that belong to this one."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any("vllm_worker" in argument for argument in child.cmdline())]


@pytest.fixture
def changed(running: Running) -> Iterator[LlamaForCausalLM]:
    """The model after an update; the engine does not know of it yet."""
    before = {name: value.clone() for name, value in running.model.state_dict().items()}
    with torch.no_grad():
        for parameter in running.model.parameters():
            parameter += torch.randn_like(parameter) * 0.05
    yield running.model
    running.model.load_state_dict(before)


def test_the_start_up_check_passes_and_leaves_the_weights_as_they_were(running: Running) -> None:
    before = {name: value.clone() for name, value in running.model.state_dict().items()}
    check_engine(running.engine, running.model, PROMPTS, CONFIG.rollout)
    assert all(torch.equal(value, before[name]) for name, value in running.model.state_dict().items())
    rollouts = running.engine.sample(PROMPTS, 2, seed=0)
    assert mean_difference(running.model, rollouts, 2.0) < BOUND


def test_after_an_update_log_probabilities_match_the_trainers_at_its_temperature(
    running: Running, changed: LlamaForCausalLM
) -> None:
    stale = running.engine.sample(PROMPTS, 8, seed=1)
    assert mean_difference(changed, stale, 2.0) > 0.05
    running.engine.refresh(changed)
    fresh = running.engine.sample(PROMPTS, 8, seed=1)
    assert mean_difference(changed, fresh, 2.0) < BOUND
    assert mean_difference(changed, fresh, 1.0) > 0.1  # the temperature is in them


def test_portions_of_whole_layers_are_taken_over_and_each_is_gone_before_the_next(
    running: Running, changed: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, portions = running.engine._client.load, []

    def noting_load(weights: Path) -> None:
        assert not any(portion.exists() for portion, _ in portions)
        portions.append((weights, sorted(sums_of(weights))))
        load(weights)

    monkeypatch.setattr(running.engine._client, "load", noting_load)
    monkeypatch.setattr(running.engine, "_portion_bytes", 1)
    running.engine.refresh(changed)  # which also compares the sums of all that vLLM shows
    rollouts = running.engine.sample(PROMPTS, 8, seed=1)
    assert mean_difference(changed, rollouts, 2.0) < BOUND
    names = [name for _, names in portions for name in names]
    assert sorted(names) == sorted(changed.state_dict())
    layers = changed.config.num_hidden_layers
    assert len(portions) == layers + 3, "the embedding, each layer, the last norm and the head"


def test_the_check_catches_a_head_that_is_not_sent(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.engine, "_weights_of", without_head)
    # A head that shares the embeddings is a packed copy of them here, out of sight.
    by_outcome = r"kept old weights: .* \d\.\d+ nats per token off the trainer's \(limit 0.001\)"
    by_sums = r"does not hold the trainer's values of lm_head\.weight \(1 of"
    with pytest.raises(GiftError, match=by_outcome if running.tied else by_sums):
        check_engine(running.engine, running.model, PROMPTS, CONFIG.rollout)


def without_head(policy: LlamaForCausalLM) -> Weights:
    tensors = [(name, value) for name, value in policy.state_dict().items() if name != "lm_head.weight"]
    return Weights([(name, value.numel()) for name, value in tensors], tensors)


@pytest.mark.parametrize(
    ("left_out", "line"),
    [
        ("model.norm.weight", r"vLLM does not hold the trainer's values of model\.norm\.weight \(1 of \d parameters"),
        # vLLM on CPU packs what it multiplies by, so that no sum of it can be had
        (
            "model.layers.0.mlp.down_proj.weight",
            r"log-probabilities of rank 0's rollout engine are .* nats per token off the trainer's, where 1e-05 may be",
        ),
    ],
)
def test_a_sync_that_leaves_one_parameter_as_it_was_is_noticed_after_one_small_update(
    running: Running, monkeypatch: pytest.MonkeyPatch, left_out: str, line: str
) -> None:
    check = check_engine(running.engine, running.model, PROMPTS, CONFIG.rollout)
    before = {name: value.clone() for name, value in running.model.state_dict().items()}
    small_update(running.model)
    running.engine.refresh(running.model)
    check.after_sync()  # a sync that is whole
    load = running.engine._client.load

    def load_all_but_one(weights: Path) -> None:
        (file,) = weights.glob("*.safetensors")
        save_file(load_file(file) | {left_out: before[left_out]}, file)
        load(weights)

    monkeypatch.setattr(running.engine._client, "load", load_all_but_one)
    with pytest.raises(GiftError, match=f"^stale weights: after a sync .*{line}"):
        sync(running, check)
    running.model.load_state_dict(before)


def test_a_sync_that_does_not_take_place_is_noticed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    check = check_engine(running.engine, running.model, PROMPTS, CONFIG.rollout)
    before = {name: value.clone() for name, value in running.model.state_dict().items()}
    small_update(running.model)
    monkeypatch.setattr(running.engine._client, "load", lambda weights: None)
    with pytest.raises(GiftError, match=r"vLLM does not hold the trainer's values of .*\((\d) of \1 parameters"):
        sync(running, check)
    # The second line of defence, had vLLM no sums to give.
    monkeypatch.setattr(running.engine._client, "held", list)
    monkeypatch.setattr(running.engine, "_comparable", None)
    with pytest.raises(GiftError, match="rank 0's rollout engine not at all; it samples from old weights"):
        sync(running, check)
    running.model.load_state_dict(before)


def test_an_engine_gets_adapters_merged_into_the_weights_that_it_has(running: Running, tmp_path: Path) -> None:
    running.model.save_pretrained(tmp_path)
    policy = trainable_model(tmp_path, CONFIG.compute, CPU, LoraConfig(rank=2))
    check = check_engine(running.engine, policy, PROMPTS, CONFIG.rollout)
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    for size in (1e-3, 0.1):
        with torch.no_grad():
            for parameter in trained:
                parameter += size * torch.randn_like(parameter)
        running.engine.refresh(policy)
        check.after_sync()
    sampled = running.engine.sample(PROMPTS, 4, seed=0, max_new_tokens=16)
    assert mean_difference(policy, sampled, CONFIG.rollout.temperature) < BOUND
    assert mean_difference(running.model, sampled, CONFIG.rollout.temperature) > 0.1


def small_update(model: LlamaForCausalLM) -> None:
    """1e-4 of the weights' own size."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * 3e-5


def sync(running: Running, check: SyncCheck) -> None:
    running.engine.refresh(running.model)
    check.after_sync()


def test_responses_are_the_same_for_the_same_seed_and_differ_within_a_group(running: Running) -> None:
    first, again, other = (running.engine.sample(PROMPTS, 4, seed) for seed in (3, 3, 4))
    assert torch.equal(first.response_ids, again.response_ids)
    assert torch.equal(first.engine_log_probabilities, again.engine_log_probabilities)
    assert first.response_ids.tolist() != other.response_ids.tolist()
    assert len({tuple(row) for row in first.response_ids.tolist()}) == 12


def test_a_response_ends_with_the_first_token_that_ends_it_and_groups_stay_together(running: Running) -> None:
    rollouts = running.engine.sample(PROMPTS, 64, seed=5)
    assert rollouts.prompt_ids[rollouts.prompt_mask].tolist() == [t for p in PROMPTS for _ in range(64) for t in p]
    lengths = rollouts.response_mask.sum(dim=1)
    assert lengths.max() == 24
    assert 0 < (lengths < 24).sum() < len(rollouts)
    for ids, mask, values in zip(
        rollouts.response_ids, rollouts.response_mask, rollouts.engine_log_probabilities, strict=True
    ):
        length = int(mask.sum())
        assert mask[:length].all()
        assert not set(ENDS) & set(ids[: length - 1].tolist())
        assert length == 24 or ids[length - 1] in ENDS
        assert set(ids[length:].tolist()) <= {PAD}
        assert (values[:length] < 0).all()
        assert (values[length:] == 0).all()
    assert set(ENDS) <= set(rollouts.response_ids[rollouts.response_mask].tolist())


def test_a_group_is_told_of_once_and_whole_when_it_ends(running: Running) -> None:
    told: list[tuple[int, list[int]]] = []
    rollouts = running.engine.sample(PROMPTS * 8, 2, seed=5, finished=lambda row, ids: told.append((row, list(ids))))
    whole = [ids[mask].tolist() for ids, mask in zip(rollouts.response_ids, rollouts.response_mask, strict=True)]
    assert sorted(told) == list(enumerate(whole))
    assert told != sorted(told), "in the order in which they ended"


def test_nothing_is_cut_from_the_policy(running: Running) -> None:
    """The frequencies of 8,000 first tokens are the policy's probabilities, the rare ones too."""
    rollouts = running.engine.sample([[5, 6]], 8000, seed=6, max_new_tokens=1)
    counts = rollouts.response_ids.flatten().bincount(minlength=97) / 8000
    with torch.no_grad():
        probabilities = (running.model(input_ids=torch.tensor([[5, 6]])).logits[0, -1] / 2.0).softmax(-1)
    standard_error = (probabilities * (1 - probabilities) / 8000).sqrt()
    assert ((counts - probabilities).abs() < 5 * standard_error + 1e-4).all()


def test_more_prompts_than_vllm_reads_in_a_step_are_answered(running: Running) -> None:
    """It cuts the last of them in two otherwise, and can't do that on a CPU for a response with a seed."""
    prompts = torch.randint(3, 90, (200, 40), generator=torch.Generator().manual_seed(0)).tolist()
    rollouts = running.engine.sample(prompts, 2, seed=7)
    assert rollouts.prompt_ids.tolist() == [prompt for prompt in prompts for _ in range(2)]
    assert rollouts.response_mask[:, 0].all()


def test_no_prompts_give_no_responses(running: Running) -> None:
    rollouts = running.engine.sample([], 4, seed=0)
    assert len(rollouts) == 0
    assert rollouts.prompt_ids.shape == rollouts.response_mask.shape == (0, 0)


def test_no_weights_are_left_in_shared_memory(running: Running, shared_memory: Path) -> None:
    assert list(shared_memory.iterdir()) == []


def reason(error: pytest.ExceptionInfo[GiftError]) -> str:
    """Of a one-line message that ends with where the log is; the log is removed."""
    message, _, log = str(error.value).rpartition("; its log is ")
    assert "\n" not in message
    assert Path(log).is_file()
    shutil.rmtree(Path(log).parent)
    return message


def test_a_vllm_that_can_not_start_gives_its_reason(tmp_path: Path) -> None:
    write_model(tmp_path, tied=True)
    config = vllm_config("rollout.vllm.cpu_cache_gib=0.00001")
    with pytest.raises(GiftError) as error, open_engine(config, tmp_path, CPU, ends=ENDS, pad=PAD):
        pass
    assert reason(error).startswith("vLLM ended while starting: ValueError: No available memory for the cache blocks.")
    assert workers() == []


def test_a_vllm_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, tied=True)
    monkeypatch.setattr(vllm_process, "START_SECONDS", 0.1)
    monkeypatch.setattr(vllm_process, "GRACE_SECONDS", 0.1)
    with pytest.raises(GiftError) as error, open_engine(CONFIG, tmp_path, CPU, ends=ENDS, pad=PAD):
        pass
    assert reason(error) == "vLLM gave no answer for 0.1 s while starting"
    assert workers() == []


def test_vllm_ends_with_a_rank_that_is_killed(tmp_path: Path) -> None:
    write_model(tmp_path, tied=True)
    program = (
        "from pathlib import Path; import torch; from gift.rollout.choose import open_engine;"
        "from tests.gift.rollout.tiny_models import vllm_config;"
        f"open_engine(vllm_config(), Path({str(tmp_path)!r}), torch.device('cpu'), ends=[1], pad=0).__enter__()"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # a killed rank leaves vLLM's log
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment) as rank:
        worker = wait_for(lambda: next(iter(psutil.Process(rank.pid).children()), None))
        rank.send_signal(signal.SIGKILL)
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def test_nothing_about_ranks_and_no_telemetry_reaches_vllm() -> None:
    of_ranks = {"RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"}
    environment = vllm_environment(of_ranks | {"HOME": "/h", "PYTHONPATH": "/p"}, threads=3, gpus=None)
    assert not of_ranks.keys() & environment.keys()
    assert environment["HOME"] == "/h"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert (environment["VLLM_NO_USAGE_STATS"], environment["DO_NOT_TRACK"]) == ("1", "1")
    assert "CUDA_VISIBLE_DEVICES" not in environment
    assert vllm_environment({}, threads=1, gpus=["4", "5"])["CUDA_VISIBLE_DEVICES"] == "4,5"


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("Traceback\n  File x\nValueError: no room\n", "ValueError: no room"),
        (
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "  Value error, Model architectures ['X'] are not supported for now. [type=value_error, input_value=1]\n"
            "    For further information visit https://errors.pydantic.dev\n",
            "Model architectures ['X'] are not supported for now.",
        ),
        ("[rank0]: Traceback\n[rank0]: torch.OutOfMemoryError: x\n[rank0]:     y", "torch.OutOfMemoryError: x"),
        ("Killed by something", "Killed by something"),
        ("", "it left no message"),
    ],
)
def test_the_last_error_of_a_log_is_its_reason(log: str, error: str) -> None:
    assert error_in(log) == error


def test_a_killed_vllm_gives_its_reason(running: Running, shared_memory: Path) -> None:
    """The last test of each engine."""
    (worker,) = workers()
    worker.kill()
    with pytest.raises(GiftError) as error:
        running.engine.refresh(running.model)
    killed = "vLLM ended while loading weights: it was killed by SIGKILL; the machine may be out of memory"
    assert reason(error) == killed
    assert list(shared_memory.iterdir()) == []
