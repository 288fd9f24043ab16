"""A training that is killed goes on from its newest whole checkpoint, and ends where it would have ended anyway."""

from pathlib import Path

import pytest
import torch
from faulty_proxy import FirstRequests, faulty_proxy
from safetensors.torch import load_file
from stored_objects import delete_object, object_uri
from tiny_jobs import RANKS, Job, own_reward, write_inputs

from gift.errors import GiftError
from gift.storage import list_paths, upload_directory
from gift.storage.steps import StoredStep, complete_steps, part_uri, remove_all_but
from pipelines.local.services import Services

RL = ("rl.steps=6", "rl.checkpoint_every=2", "rl.optimizer={learning_rate: 1.0e-2, warmup_steps: 2, schedule: linear}")
SFT = ("sft.steps=6", "sft.checkpoint_every=2", "sft.optimizer.warmup_steps=2")
CASES = {
    "sft, two nodes": ("gift.training.sft", (*SFT, "compute.nodes=2")),
    "sft of adapters, zero 3": ("gift.training.sft", (*SFT, "lora={rank: 4, alpha: 16}", "compute.zero_stage=3")),
    "gift, zero 3, refilled groups": (
        "gift.training.rl",
        (
            *(*RL, own_reward("rare"), "compute.zero_stage=3"),
            *("gift.zero_variance=refill", "rl.mini_batches=2", "rl.heldout_every=3"),
        ),
    ),
    "dpo, groups of the sft model": (
        "gift.training.rl",
        (*RL, own_reward("digits"), "compute.ranks=1", "algorithm=dpo", "dpo.beta=1.0"),
    ),
}
OF_THE_CLOCK = ("step_time", "sampling_time", "scoring_time", "tokens_per_second")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_ends_where_an_uninterrupted_one_does(
    services: Services,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    case: str,
) -> None:
    module, overrides = CASES[case]
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    section = module.rpartition(".")[2]
    whole = Job(inputs, *overrides, f"{section}.checkpoint_every=0")
    whole.attempt(module, tmp_path / "whole")
    job = Job(inputs, *overrides)

    # Killed after 5 steps, of which the first 4 are in a checkpoint, and with all metrics lost.
    for name, value in {"MODULE": module, "STEP": "4", "CHECKPOINT": "4", "VICTIM": "rank"}.items():
        monkeypatch.setenv(f"DIE_{name}", value)
    with pytest.raises(GiftError, match="was killed by SIGKILL"):
        job.attempt("die_in_training", tmp_path / "killed")
    assert {path.partition("/")[0] for path in list_paths(job.resume_uri)} == {"step-4"}, "older ones are removed"
    assert job.history() == {}

    _leave_half_a_checkpoint(job.resume_uri, tmp_path / "half")
    capfd.readouterr()
    job.attempt(module, tmp_path / "resumed")
    assert "goes on after step 4" in capfd.readouterr().out
    assert list((tmp_path / "resumed").rglob("resume/**/*.*")) == [], "nothing is left on the disk"

    expected = whole.weights(tmp_path / "whole")
    found = job.weights(tmp_path / "resumed")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected), "equal to the last bit"
    before = load_file(inputs / "base" / "model.safetensors")
    learned = {name for name in expected if not torch.equal(found[name], before[name])}
    assert learned == {name for name in expected if job.config.lora is None or "_proj." in name}
    assert _without_clock(job.history()) == _without_clock(whole.history())
    assert [step for step, _ in job.history()["step_time"]] == list(range(6))


def test_a_slow_store_costs_checkpoints_but_not_the_training(
    services: Services,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RANKS))
    job = Job(inputs, "sft.steps=4", "sft.checkpoint_every=1")
    job.attempt("slow_store", tmp_path / "slow")
    output = capfd.readouterr().out
    assert "the checkpoint of step 2 is left out: the one before is still on its way" in output
    assert "the checkpoint of step 1 " not in output
    assert job.weights(tmp_path / "slow"), "trained to the end"


def test_a_store_that_is_away_costs_a_checkpoint_and_is_waited_for_when_a_training_goes_on(
    services: Services,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RANKS))
    job = Job(inputs, "sft.steps=6", "sft.checkpoint_every=2")
    with faulty_proxy(services.s3_port) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{store.port}")
        store.fault_of = lambda method, path: "away" if method == "PUT" and "/step-4/" in path else None
        job.attempt("keep_checkpoints", tmp_path / "whole")
        printed = capfd.readouterr().out
        assert "the checkpoint of step 4 is not stored: cannot reach S3" in printed
        store.faults.clear()
        store.fault_of = FirstRequests("away", 4)
        job.attempt("gift.training.sft", tmp_path / "resumed")
        assert len(store.faults) == 4
    printed = capfd.readouterr().out
    assert "waiting, for" in printed
    assert "goes on after step 2" in printed
    expected = job.weights(tmp_path / "whole")
    found = job.weights(tmp_path / "resumed")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def _without_clock(history: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {name: entries for name, entries in history.items() if name not in OF_THE_CLOCK}


def _leave_half_a_checkpoint(uri: str, folder: Path) -> None:
    """As a writer does that was killed before the manifest: it must be ignored, although its step is the highest."""
    folder.mkdir()
    (folder / "state-0.json").write_text("{}")
    upload_directory(folder, part_uri(uri, StoredStep(5, 1), 0))
    delete_object(object_uri(part_uri(uri, StoredStep(5, 1), 0), "manifest.json"))


def test_a_checkpoint_counts_when_all_nodes_have_stored_their_part(bucket_prefix: str, tmp_path: Path) -> None:
    (tmp_path / "state-0.json").write_text("{}")
    old, new = StoredStep(2, 2), StoredStep(10, 2)
    assert complete_steps(bucket_prefix) == []
    for stored, node in ((old, 0), (old, 1), (new, 0), (StoredStep(10, 3), 0)):
        upload_directory(tmp_path, part_uri(bucket_prefix, stored, node))
    assert complete_steps(bucket_prefix) == [old]
    upload_directory(tmp_path, part_uri(bucket_prefix, StoredStep(10, 3), 1))
    assert complete_steps(bucket_prefix) == [old], "two parts of three"
    upload_directory(tmp_path, part_uri(bucket_prefix, new, 1))
    assert complete_steps(bucket_prefix) == [new, old]
    remove_all_but(bucket_prefix, 10)
    assert complete_steps(bucket_prefix) == [new]
    remove_all_but(bucket_prefix, 0)
    assert list_paths(bucket_prefix) == []
