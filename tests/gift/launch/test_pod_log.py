"""A log that is cut goes on from its last line, whatever the time zone of the node that wrote it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gift.launch import pod_log
from gift.launch.pod_log import OVERLAP_SECONDS, PodLog
from gift.launch.train_job_api import ApiAwayError


@pytest.mark.parametrize(("hours", "ago", "expected"), [(0, 60, 60), (2, 60, 60), (-7, 60, 60), (0, -90, 0)])
def test_the_time_of_the_last_line_is_read_in_its_zone_and_its_clock_may_be_ahead(
    monkeypatch: pytest.MonkeyPatch, capsys, hours: int, ago: int, expected: int
) -> None:
    asked: list[int | None] = []
    written = datetime.now(UTC).astimezone(timezone(timedelta(hours=hours))) - timedelta(seconds=ago)

    class CutOnce:
        def log(self, pod: str, since_seconds: int | None) -> Iterator[str]:
            asked.append(since_seconds)
            yield f"{written.isoformat()} a line"
            raise ApiAwayError("cut")

    monkeypatch.setattr(pod_log, "PAUSE_SECONDS", 0.01)
    log = PodLog(CutOnce(), "pod")
    while len(asked) < 2:
        time.sleep(0.01)
    log.close(5)
    assert asked[0] is None
    assert asked[1] == pytest.approx(expected + OVERLAP_SECONDS, abs=2)
    assert capsys.readouterr().out.splitlines() == ["a line"]


def test_what_a_kubelet_says_itself_has_no_time_and_ends_no_log(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked: list[int | None] = []
    written = datetime.now(UTC).isoformat()

    class NotYet:
        def log(self, pod: str, since_seconds: int | None) -> Iterator[str]:
            asked.append(since_seconds)
            yield "unable to retrieve container logs for containerd://0123"
            if len(asked) == 3:
                yield f"{written} a line"

    monkeypatch.setattr(pod_log, "PAUSE_SECONDS", 0.01)
    log = PodLog(NotYet(), "pod")
    deadline = time.monotonic() + 5
    while len(asked) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    log.close(5)
    assert asked[:3] == [None, None, None]
    assert capsys.readouterr().out.splitlines() == [
        "unable to retrieve container logs for containerd://0123",
        "a line",
    ]
