"""A rank that does not finish in time what has a deadline is ended and named, also one that can do nothing any more."""

import json
import os
import time
from pathlib import Path

import pytest

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.launch.deadline import RECORD, deadline, make_records, overdue, pass_by, passed, record_of
from gift.launch.one_node import launch_ranks

ROOT = Path(__file__).parents[3]
COMPUTE = ComputeConfig(ranks=2, threads_per_rank=1, device="cpu")


@pytest.mark.parametrize(
    ("works", "line"),
    [
        (("waits", "sleeps"), r"rank 1 is still resting after 0\.\d+ minutes; rest less"),
        (("stops", "waits"), r"rank 0 is still resting after 0\.\d+ minutes; rest less"),
        (("sleeps", "sleeps"), r"ranks 0, 1 are still resting after 0\.\d+ minutes; rest less"),
        (("sleeps", "dawdles"), r"rank 1 is late: rank 0 is still resting after 0\.\d+ minutes; rest less"),
    ],
)
def test_who_is_late_is_ended_and_named(
    works: tuple[str, str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(GiftError, match=f"^{line}$"):
        _launch(works, tmp_path, monkeypatch)
    where = 'miss_a_deadline.py", line 24 in main'
    assert (where in capfd.readouterr().out) == ("sleeps" in works), "it printed where it was, if it still could"


def _launch(works: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support' / 'ranks'}")
    job = folder / "job.json"
    job.write_text(json.dumps({str(rank): work for rank, work in enumerate(works)}))
    launch_ranks("miss_a_deadline", job, COMPUTE)


def test_a_deadline_ends_with_what_has_it_also_when_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = tmp_path / "records"
    make_records(records, 3)
    monkeypatch.setenv(RECORD, record_of(records, 1))
    with pytest.raises(ValueError, match="no such thing"), deadline("searching", 0.0, "x" * 1000):  # noqa: PT012
        time.sleep(0.01)
        found = overdue(records, 1)
        assert found is not None
        assert found.what == "searching"
        assert set(found.hint) == {"x"}
        assert found.seconds >= 0.01
        assert (overdue(records, 0), overdue(records, 2)) == (None, None)
        raise ValueError("no such thing")
    assert overdue(records, 1) is None


def test_places_that_are_passed_are_counted_whatever_deadline_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "records"
    make_records(records, 2)
    monkeypatch.setenv(RECORD, record_of(records, 1))
    counts = [passed(records, 1)]
    with deadline("searching", 0.0, "search faster"):
        counts.append(passed(records, 1))
        pass_by()
        counts.append(passed(records, 1))
        found = overdue(records, 1)
        assert found is not None
        assert found.what == "searching"
    counts.append(passed(records, 1))
    assert counts == sorted(set(counts)), "it only grows"
    assert passed(records, 0) == 0
