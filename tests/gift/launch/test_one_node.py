"""What launch_ranks promises: output streams, failures are named, and nothing is left running."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from large_pages import only_where_asked_for

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.launch.one_node import launch_ranks
from gift.progress import without_time

ROOT = Path(__file__).parents[3]
RANKS = ROOT / "tests" / "support" / "ranks"
COMPUTE = ComputeConfig(ranks=2, threads_per_rank=1, device="cpu")


@pytest.fixture(autouse=True)
def _rank_modules_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{RANKS}")


def write_job(folder: Path, end: str) -> Path:
    pids = folder / "pids"
    pids.mkdir(parents=True)
    job = folder / "job.json"
    connection = folder / "connection"
    os.mkfifo(connection)
    job.write_text(json.dumps({"end": end, "pids": str(pids), "connection": str(connection)}))
    return job


def running_ranks(job: Path) -> list[int]:
    pids = [int(path.read_text() or 0) for path in (job.parent / "pids").iterdir()]
    return [pid for pid in pids if psutil.pid_exists(pid)]


def test_two_jobs_side_by_side_end_well_and_their_output_reaches_stdout(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # a buffer is what a fork would copy
    jobs = [write_job(tmp_path / name, "well") for name in ("first", "second")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda job: launch_ranks("leave_early", job, COMPUTE), jobs))
    output = capfd.readouterr()
    for rank in (0, 1):
        assert output.out.count(f"rank {rank} of 2 has 1 threads") == 2
        assert output.out.count(f"rank {rank} warns") == 2
    assert output.err == ""
    assert output.out.count("imported") == 2 * 3, "once by the parent of each job and once by each rank, and no copies"
    lines = [without_time(line) for line in output.out.splitlines()]
    numbers = [number for line in lines if line.startswith("drawn: ") for number in line.split()[1:]]
    assert len(set(numbers)) == len(numbers) == 8, "ranks that are forked from one process draw apart all the same"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("gift error", "prompt 7 is longer than the context; shorten it"),
        ("exception", "leave_early: rank 1 failed (exit code 1): ValueError: bad shape"),
        ("exit", "leave_early: rank 1 failed (exit code 1): SystemExit: enough"),
        ("killed", "leave_early: rank 1 was killed by SIGKILL (exit code -9); the machine may be out of memory"),
    ],
)
def test_the_reason_of_a_failure_is_one_line_and_no_rank_is_left(tmp_path, end, reason):
    job = write_job(tmp_path, end)
    with pytest.raises(GiftError) as error:
        launch_ranks("leave_early", job, COMPUTE)
    assert str(error.value) == reason
    assert running_ranks(job) == []


def test_ranks_that_can_not_be_started_are_told(tmp_path, capfd):
    with pytest.raises(GiftError, match=r"^no_such_module: its ranks could not be started \(exit code 1\)"):
        launch_ranks("no_such_module", write_job(tmp_path, "well"), COMPUTE)
    assert "No module named 'no_such_module'" in capfd.readouterr().out


def test_ranks_of_one_machine_meet_on_loopback_and_nothing_of_theirs_listens_elsewhere(tmp_path):
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"sockets": str(tmp_path / "sockets.json")}))
    launch_ranks("list_sockets", job, COMPUTE)
    listening = json.loads((tmp_path / "sockets.json").read_text())
    assert len(listening) >= 3, "the store, and one for each rank's connections"
    assert {address for _, address in listening} == {"127.0.0.1"}, listening


@only_where_asked_for
def test_the_tensors_of_ranks_have_large_pages(tmp_path, capfd):
    (tmp_path / "job.json").write_text("{}")
    launch_ranks("make_a_large_tensor", tmp_path / "job.json", COMPUTE)
    output = capfd.readouterr().out
    assert int(output.partition("pages: ")[2].split()[0]) < 65_536 / 2, "as many as small ones"


@pytest.mark.parametrize("end_parent", [signal.SIGTERM, signal.SIGINT])
def test_ranks_end_with_the_process_that_launched_them(tmp_path, end_parent):
    job = write_job(tmp_path, "hang")
    program = (
        "from pathlib import Path; from gift.config import ComputeConfig; import gift.launch.one_node as launch;"
        f"launch.launch_ranks('leave_early', Path({str(job)!r}), ComputeConfig(device='cpu'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.DEVNULL,
        # A shell's background job, as CI may be one, ignores SIGINT and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as parent:
        wait_until(lambda: len(running_ranks(job)) == 2)
        parent.send_signal(end_parent)
    wait_until(lambda: running_ranks(job) == [])


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_launching_does_not_import_torch():
    program = "import sys, gift.launch.one_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
