"""Who samples, when, and with which weights: an engine is there as long as somebody samples, and all ranks call it."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_jobs import RANKS, Job, own_reward, train_together, write_inputs

from gift.errors import GiftError
from pipelines.local.services import Services

CASES = {
    "offline": ("offline", "rewards=[{kind: function, function: 'nowhere:to_be_found'}]", "rl.steps=2"),
    "offline, looks": (
        *("offline", own_reward("digits")),
        *("rl.steps=4", "rl.heldout_every=2", "rl.heldout_problems=1"),
    ),
    "once": ("algorithm=dpo", own_reward("digits"), "rl.steps=2"),
    "once, looks": ("algorithm=dpo", own_reward("digits"), "rl.steps=2", "rl.heldout_every=1"),
    "fresh": (own_reward("digits"), "rl.steps=2"),
    "refilled": (
        *(own_reward("rare"), "rl.steps=3", "gift.zero_variance=refill", "rollout.refill_rounds=8"),
        *("rl.heldout_every=1", "rl.heldout_problems=1"),
    ),
}


def _settings(inputs: Path, case: str) -> list[str]:
    names = ("train_file: train", "heldout_file: heldout", "scored_file: scored")
    files = ", ".join(f"{key} {inputs}/data/{name}.jsonl" for key, name in (name.split(" ") for name in names))
    offline = (f"data={{source: jsonl, {files}}}", "rl.groups=dataset", "rollout.group_size=3")
    return [part for item in CASES[case] for part in (offline if item == "offline" else (item,))]


@pytest.fixture(scope="module")
def all_calls(services: Services, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What was asked of the engine and the rewards, in order, in each case."""
    inputs, folder = write_inputs(tmp_path_factory.mktemp("inputs")), tmp_path_factory.mktemp("cases")
    train_together(inputs, folder, {case: ("watch_sampling", *_settings(inputs, case)) for case in CASES})
    return {case: (folder / case / "calls").read_text().split() for case in CASES}


@pytest.fixture(scope="module")
def calls(all_calls: dict[str, list[str]]) -> dict[str, list[str]]:
    """What was asked of the engine, in order, in each case."""
    return {case: [call for call in names if call not in ("begin", "score")] for case, names in all_calls.items()}


def test_rewards_begin_with_a_response_while_others_are_sampled(all_calls: dict[str, list[str]]) -> None:
    for case in ("fresh", "once, looks", "refilled"):
        assert "begin" in all_calls[case]
        assert {before for before, call in pairwise(all_calls[case]) if call == "begin"} <= {"sample", "begin"}


def test_scored_data_need_no_engine_and_no_rewards(calls: dict[str, list[str]]) -> None:
    assert calls["offline"] == ["step", "step"]


def test_scored_data_sync_weights_only_before_a_look_at_held_out_problems(calls: dict[str, list[str]]) -> None:
    look = ["refresh", "sample", "rest", "step"]
    assert calls["offline, looks"] == ["open", "refresh", "rest", *look, "step", *look, *look, "close"]


def test_the_engine_is_closed_once_the_sft_model_has_written_its_groups(calls: dict[str, list[str]]) -> None:
    assert calls["once"] == ["open", "refresh", "sample", "sample", "close", "step", "step"]


def test_the_engine_stays_for_looks_at_held_out_problems(calls: dict[str, list[str]]) -> None:
    look = ["refresh", "sample", "rest", "step"]
    assert calls["once, looks"] == ["open", "refresh", "sample", "sample", "rest", *look, *look, "close"]


def test_fresh_groups_come_from_the_newest_weights_and_the_last_are_not_handed_over(
    calls: dict[str, list[str]],
) -> None:
    assert calls["fresh"] == ["open", "refresh", "rest", *["refresh", "sample", "rest", "step"] * 2, "close"]


def test_all_ranks_sample_together_also_those_that_have_their_groups_or_no_held_out_problem(
    calls: dict[str, list[str]],
) -> None:
    assert calls["refilled"].count("sample") > 2 * 3


@pytest.mark.slow
def test_an_engine_that_hangs_costs_its_deadline_and_its_rank_is_named(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    job = Job(inputs, own_reward("digits"), "rl.steps=3", "rollout.timeout_minutes=0.2")
    with pytest.raises(GiftError) as error:
        job.attempt("hang_in_sampling", tmp_path / "job")
    assert re.fullmatch(
        r"rank 1 is still sampling 2 x 8 responses after 0\.[23]\d* minutes; "
        r"rollout\.engine transformers hangs, or needs more than rollout\.timeout_minutes \(0\.2\)",
        str(error.value),
    )


@pytest.mark.slow
def test_a_rank_that_lets_the_others_wait_in_an_update_is_named(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    minutes = ("rollout.timeout_minutes=0.1", "compute.timeout_minutes=0.1")
    job = Job(inputs, own_reward("digits"), "rl.steps=3", *minutes)
    with pytest.raises(GiftError) as error:
        job.attempt("hang_in_update", tmp_path / "job")
    assert re.fullmatch(
        r"rank 1 is late: rank 0 is still at the update of step 1 after 0\.2\d* minutes; "
        r"a rank hangs, or an update needs more than compute\.timeout_minutes \(0\.1\)",
        str(error.value),
    )
    assert [step for step, _ in job.history()["loss"]] == [0]


@pytest.mark.slow
def test_an_engine_that_keeps_old_weights_ends_the_training_before_it_samples_again(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    job = Job(inputs, own_reward("digits"), "rl.steps=3")
    with pytest.raises(
        GiftError, match=r"^stale weights: .* of rank [01]'s rollout engine not at all; it samples from"
    ):
        job.attempt("keep_old_weights", tmp_path / "job")
    assert [step for step, _ in job.history()["loss"]] == [0]
