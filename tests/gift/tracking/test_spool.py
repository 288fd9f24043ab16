"""The spool file holds whole lines only, also where the disk was full for a while."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from gift.errors import GiftError
from gift.tracking.entities import Metric
from gift.tracking.spool import MetricSpool


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_a_full_disk_loses_metrics_of_its_moment_and_tears_no_line(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool, queue = MetricSpool(path), SimpleQueue[list[Metric]]()

    def log(step: int) -> None:
        queue.put([Metric("reward", 0.5, 1, step)])
        spool.take_from(queue)

    log(0)
    with _no_file_larger_than(path.stat().st_size + 10), pytest.raises(GiftError, match="make room there"):
        log(1)
    log(2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 2]
    assert spool.pending() == 2


def test_a_file_that_cannot_be_written_at_all_is_a_line_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool, queue = MetricSpool(path), SimpleQueue[list[Metric]]()
    path.mkdir()  # as good as a disk that can't be written to any more
    queue.put([Metric("loss", 1.0, 0, 0)])
    with pytest.raises(GiftError, match=f"cannot write metrics to {path}"):
        spool.take_from(queue)
