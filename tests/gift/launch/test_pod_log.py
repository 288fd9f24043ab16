"""A log that is cut goes on from its last line, whatever the time zone of the node that wrote it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gift.launch import pod_log
from gift.launch.pod_log import OVERLAP_SECONDS, PodLog
from gift.launch.train_job_api import ApiAwayError


@pytest.mark.parametrize("hours", [0, 2, -7])
def test_the_time_of_the_last_line_is_read_in_its_zone(monkeypatch: pytest.MonkeyPatch, capsys, hours: int) -> None:
    asked: list[int | None] = []
    written = datetime.now(UTC).astimezone(timezone(timedelta(hours=hours))) - timedelta(seconds=60)

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
    assert asked[1] == pytest.approx(60 + OVERLAP_SECONDS, abs=2)
    assert capsys.readouterr().out.splitlines() == ["a line"]
