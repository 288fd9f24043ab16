"""A training that was killed goes on with other ranks and nodes, from what all of them had left."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_jobs import RANKS, Job, own_reward, write_inputs

from gift.errors import GiftError
from gift.storage.steps import StoredStep, complete_steps
from gift.training.order import batch_indices
from pipelines.local.services import Services

SFT = ("sft.steps=6", "sft.checkpoint_every=2", "sft.optimizer.warmup_steps=2")
RL = ("rl.steps=6", "rl.checkpoint_every=2", own_reward("rare"))
ONE, TWO, FOUR = ("compute.ranks=1",), ("compute.ranks=2",), ("compute.ranks=4", "compute.nodes=2")
NODES = (*TWO, "compute.nodes=2", "compute.zero_stage=3")
PROMPTS = 4
"""Of a step."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@dataclass(frozen=True)
class Ended:
    """What a training that nobody killed ended with."""

    weights: dict[str, torch.Tensor]
    history: dict[str, list[tuple[int, float]]]


@pytest.fixture(scope="module")
def whole(services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """By two ranks."""
    job, folder = Job(inputs, *SFT, *TWO, "sft.checkpoint_every=0"), tmp_path_factory.mktemp("whole") / "attempt"
    job.attempt("gift.training.sft", folder)
    return Ended(job.weights(folder), job.history())


def killed_and_gone_on(module: str, job: Job, later: Job, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 5 steps, of which 4 are in the checkpoint; then the other job goes on with it to the end."""
    for name, value in {"MODULE": module, "STEP": "4", "CHECKPOINT": "4", "VICTIM": "rank"}.items():
        monkeypatch.setenv(f"DIE_{name}", value)
    with pytest.raises(GiftError, match="was killed by SIGKILL"):
        job.attempt("die_in_training", folder / "killed")
    assert complete_steps(job.resume_uri) == [StoredStep(4, job.config.compute.nodes)]
    later.resume_uri, later.mlflow_run_id = job.resume_uri, job.mlflow_run_id
    later.attempt(module, folder / "resumed")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (NODES, ONE, "2 rank(s) on 2 node(s) with ZeRO-3"),
        (ONE, NODES, "1 rank(s) on 1 node(s) with ZeRO-2"),
        (TWO, FOUR, "2 rank(s) on 1 node(s) with ZeRO-2"),
    ],
)
def test_sft_ends_where_it_would_have_ended_but_for_rounding(
    whole: Ended,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    before: tuple[str, ...],
    after: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    job, later = Job(inputs, *SFT, *before), Job(inputs, *SFT, *after)
    killed_and_gone_on("gift.training.sft", job, later, tmp_path, monkeypatch)
    assert f"goes on after step 4, from {job.resume_uri}, written by {told}\n" in capfd.readouterr().out

    found = later.weights(tmp_path / "resumed")
    start = load_file(inputs / "base" / "model.safetensors")
    for name, weights in whole.weights.items():
        way = (weights - start[name]).norm()
        assert (found[name] - weights).norm() < 1e-3 * way, name
    history, other = later.history(), whole.history
    assert [step for step, _ in history["loss"]] == list(range(6))
    for name in ("loss", "learning_rate", "grad_norm"):
        assert [value for _, value in history[name]] == pytest.approx([value for _, value in other[name]], rel=1e-4)


@pytest.mark.parametrize("zero_variance", ["drop", "refill"])
def test_no_example_comes_twice_in_an_epoch(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zero_variance: str
) -> None:
    """And none is left out where all ranks had taken as many."""
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    monkeypatch.setenv("EXAMPLES_FILE", str(tmp_path / "examples"))
    settings = (*RL, f"gift.zero_variance={zero_variance}", f"rl.prompts_per_step={PROMPTS}")
    job, later = Job(inputs, *settings, *NODES), Job(inputs, *settings, *ONE)
    killed_and_gone_on("note_examples", job, later, tmp_path, monkeypatch)

    notes = [json.loads(line) for line in (tmp_path / "examples").read_text().splitlines()]
    before = [note["rank"] for note in notes if note["ranks"] == 2 and note["step"] < 4]
    taken = [before.count(rank) for rank in range(2)]
    sequence = [index for step in range(40) for index in batch_indices(32, PROMPTS, step, job.config.seed)]
    resumed = [note["example"] for note in notes if note["ranks"] == 1]
    assert resumed == sequence[2 * max(taken) :][: len(resumed)]
    if zero_variance == "drop":
        assert taken == [8, 8]
        assert len(resumed) == 2 * PROMPTS
    else:
        assert taken[0] != taken[1], "otherwise nothing is tested"
    tokens = [value for _, value in later.history()["num_tokens"]]
    assert len(tokens) == 6
    assert tokens == sorted(set(tokens))


def test_the_next_ranks_take_over_a_training_that_others_had_taken_over(
    whole: Ended, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks, one, and two again: weights are those of a training that nobody killed, but for rounding."""
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    monkeypatch.setenv("DIE_MODULE", "gift.training.sft")
    monkeypatch.setenv("DIE_VICTIM", "rank")
    jobs = [Job(inputs, *SFT, *spread) for spread in (NODES, ONE, TWO)]
    for job, step in zip(jobs, (2, 4), strict=False):
        job.resume_uri = jobs[0].resume_uri
        monkeypatch.setenv("DIE_STEP", str(step))
        monkeypatch.setenv("DIE_CHECKPOINT", str(step))
        with pytest.raises(GiftError, match="was killed by SIGKILL"):
            job.attempt("die_in_training", tmp_path / str(step))
    jobs[-1].resume_uri = jobs[0].resume_uri
    jobs[-1].attempt("gift.training.sft", tmp_path / "resumed")
    found = jobs[-1].weights(tmp_path / "resumed")
    assert all(torch.allclose(found[name], whole.weights[name], rtol=0, atol=1e-5) for name in found)
