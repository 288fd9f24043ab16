"""A training that is told to stop (SIGTERM) stores a checkpoint after its step, and the next start loses nothing."""

import re
from pathlib import Path

import pytest
import torch
from faulty_proxy import faulty_proxy
from tiny_jobs import RANKS, Job, own_reward, write_inputs

from gift.errors import GiftError
from gift.storage import list_paths
from pipelines.local.services import Services

SFT = ("gift.training.sft", "sft.steps=6", "sft.checkpoint_every=1000")
RL = ("gift.training.rl", "rl.steps=6", "rl.checkpoint_every=4", own_reward("rare"))
CASES = {
    "a rank of two nodes": ("rank", "(node 1 )?", (*SFT, "compute.nodes=2")),
    "the launcher": ("launcher", "", (*RL, "gift.zero_variance=refill", "compute.zero_stage=3")),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def _stop(monkeypatch: pytest.MonkeyPatch, inputs: Path, module: str, step: int, whom: str) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    for name, value in {"MODULE": module, "STEP": str(step), "WHOM": whom}.items():
        monkeypatch.setenv(f"STOP_{name}", value)


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_is_told_to_stop_ends_where_an_uninterrupted_one_does(
    services: Services,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    case: str,
) -> None:
    whom, who, (module, *overrides) = CASES[case]
    _stop(monkeypatch, inputs, module, 2, whom)
    whole = Job(inputs, *overrides)
    whole.attempt(module, tmp_path / "whole")
    job = Job(inputs, *overrides)
    told = rf"^{who}was told to stop \(SIGTERM\) after step ([345]) of 6; the next start goes on from the newest"
    with pytest.raises(GiftError, match=told) as raised:
        job.attempt("stop_in_training", tmp_path / "stopped")
    step = f"step-{re.findall(r'step (.)', str(raised.value))[0]}"
    assert {path.partition("/")[0] for path in list_paths(job.resume_uri)} == {step}
    assert list((tmp_path / "stopped").rglob("checkpoint/*")) == [], "it has no result"

    job.attempt(module, tmp_path / "resumed")
    assert f"goes on after {step.replace('-', ' ')}" in capfd.readouterr().out
    expected, found = whole.weights(tmp_path / "whole"), job.weights(tmp_path / "resumed")
    assert all(torch.equal(found[name], expected[name]) for name in expected), "equal to the last bit"
    assert [step for step, _ in job.history()["step_time"]] == list(range(6))


def test_after_the_last_step_there_is_nothing_to_stop(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop(monkeypatch, inputs, "gift.training.sft", 5, "launcher")
    job = Job(inputs, *SFT[1:])
    job.attempt("stop_in_training", tmp_path / "stopped")
    assert job.weights(tmp_path / "stopped")


def test_a_store_that_is_away_costs_the_checkpoint_and_says_so(
    services: Services,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _stop(monkeypatch, inputs, "gift.training.sft", 4, "rank")
    job = Job(inputs, "sft.steps=6", "sft.checkpoint_every=3")
    with faulty_proxy(services.s3_port) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{store.port}")
        store.fault_of = lambda method, path: "away" if method == "PUT" and "/step-5/" in path else None
        with pytest.raises(GiftError, match="after step 5 of 6; the next start goes on from the newest checkpoint"):
            job.attempt("stop_in_training", tmp_path / "stopped")
        assert "the checkpoint of step 5 is not stored" in capfd.readouterr().out
        assert {path.partition("/")[0] for path in list_paths(job.resume_uri)} == {"step-3"}
