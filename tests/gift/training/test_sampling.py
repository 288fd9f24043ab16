"""Who samples, when, and with which weights: an engine is there as long as somebody samples, and all ranks call it."""

from pathlib import Path

import pytest
from tiny_jobs import Training, own_reward, write_inputs

from pipelines.local.services import Services

RANKS = Path(__file__).parents[2] / "support" / "ranks"
NO_REWARD = "rewards=[{kind: function, function: 'nowhere:to_be_found'}]"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def calls(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> list[str]:
    """What was asked of the engine, in order, in a run with the test's settings."""
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    monkeypatch.setenv("WATCH_FILE", str(tmp_path / "calls"))
    (tmp_path / "calls").touch()
    names = ("train_file: train", "heldout_file: heldout", "scored_file: scored")
    files = ", ".join(f"{key} {inputs}/data/{name}.jsonl" for key, name in (name.split(" ") for name in names))
    offline = (f"data={{source: jsonl, {files}}}", "rl.groups=dataset", "rollout.group_size=3")
    overrides = [part for item in request.param for part in (offline if item == "offline" else (item,))]
    Training("watch_sampling", inputs, tmp_path, *overrides)
    return (tmp_path / "calls").read_text().split()


@pytest.mark.parametrize("calls", [("offline", NO_REWARD, "rl.steps=2")], indirect=True)
def test_scored_data_need_no_engine_and_no_rewards(calls: list[str]) -> None:
    assert calls == ["step", "step"]


@pytest.mark.parametrize(
    "calls",
    [("offline", own_reward("digits"), "rl.steps=4", "rl.heldout_every=2", "rl.heldout_problems=1")],
    indirect=True,
)
def test_scored_data_sync_weights_only_before_a_look_at_held_out_problems(calls: list[str]) -> None:
    look = ["refresh", "sample", "step"]
    assert calls == ["open", "refresh", *look, "step", *look, *look, "close"]


@pytest.mark.parametrize("calls", [("algorithm=dpo", own_reward("digits"), "rl.steps=2")], indirect=True)
def test_the_engine_is_closed_once_the_sft_model_has_written_its_groups(calls: list[str]) -> None:
    assert calls == ["open", "refresh", "sample", "sample", "close", "step", "step"]


@pytest.mark.parametrize(
    "calls", [("algorithm=dpo", own_reward("digits"), "rl.steps=2", "rl.heldout_every=1")], indirect=True
)
def test_the_engine_stays_for_looks_at_held_out_problems(calls: list[str]) -> None:
    look = ["refresh", "sample", "step"]
    assert calls == ["open", "refresh", "sample", "sample", *look, *look, "close"]


@pytest.mark.parametrize("calls", [(own_reward("digits"), "rl.steps=2")], indirect=True)
def test_fresh_groups_come_from_the_newest_weights_and_the_last_are_not_handed_over(calls: list[str]) -> None:
    assert calls == ["open", "refresh", *["refresh", "sample", "step"] * 2, "close"]


@pytest.mark.parametrize(
    "calls",
    [
        (
            *(own_reward("rare"), "rl.steps=3", "gift.zero_variance=refill", "rollout.refill_rounds=8"),
            *("rl.heldout_every=1", "rl.heldout_problems=1"),
        )
    ],
    indirect=True,
)
def test_all_ranks_sample_together_also_those_that_have_their_groups_or_no_held_out_problem(calls: list[str]) -> None:
    assert calls.count("sample") > 2 * 3
