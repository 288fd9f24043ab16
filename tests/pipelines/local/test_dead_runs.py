"""What a killed run leaves: its stages end, its temporary folder goes, and MLflow knows."""

import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from gift.tracking import start_parent_run
from gift.tracking.client import MlflowClient
from gift.tracking.parent import KILLED_TAG
from pipelines.cli.main import app
from pipelines.local.dead_runs import clean_dead_runs
from pipelines.local.live_run import LIVE_FILE, LiveRun, live_run
from pipelines.local.services import Services

RUN = """
import subprocess, sys, time
from contextlib import ExitStack
from pathlib import Path
from pipelines.local.live_run import LiveRun, live_run
from pipelines.local.watcher import watched_over

folder, temporary, run_id, watched = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] == "watched"
with ExitStack() as stack:
    stack.enter_context(live_run(folder, LiveRun(run_id=run_id, temporary=Path(temporary))))
    if watched:
        stack.enter_context(watched_over(folder))
    stage = "import time; print('stage', flush=True); time.sleep(600)"
    subprocess.Popen(["sh", "-ec", f'TMPDIR={temporary} {sys.executable} -c "{stage}"; true'])
    time.sleep(600)
"""


class KilledRun:
    """A process that has the run of a folder, with a stage below a shell."""

    def __init__(self, runs: Path, config: RunConfig, *, watched: bool) -> None:
        self.run_id = f"run-{uuid.uuid4().hex}"
        self.folder, self.temporary = runs / self.run_id, Path(tempfile.mkdtemp(prefix="gift-test-"))
        self.folder.mkdir(parents=True)
        (self.folder / "config.json").write_text(config.model_dump_json())
        self.mlflow_run = start_parent_run(config, self.run_id)
        arguments = [str(self.folder), str(self.temporary), self.run_id, "watched" if watched else "alone"]
        self.process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "stage\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_put_away(self) -> bool:
        stages = [process for process in psutil.process_iter() if _temporary_of(process) == str(self.temporary)]
        return not stages and not self.temporary.exists() and not (self.folder / LIVE_FILE).exists()


def _temporary_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("TMPDIR")
    except psutil.Error:
        return None


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


@pytest.fixture
def config(services: Services) -> RunConfig:
    return load_profile("local", ("experiment=test-killed",))


@pytest.fixture
def start(tmp_path: Path, config: RunConfig) -> Iterator[Callable[..., KilledRun]]:
    started: list[KilledRun] = []

    def start_one(*, watched: bool) -> KilledRun:
        started.append(KilledRun(tmp_path / "runs", config, watched=watched))
        return started[-1]

    yield start_one
    for run in started:
        run.kill()
    clean_dead_runs(tmp_path / "runs")


def test_the_watcher_puts_away_at_once_what_a_killed_run_left(start: Callable[..., KilledRun]) -> None:
    run = start(watched=True)
    run.kill()
    assert _within(30, run.is_put_away)
    found = MlflowClient().get_run(run.mlflow_run)
    assert (found.status, found.tags[KILLED_TAG]) == ("KILLED", "gift run was killed on its machine")


def test_the_next_run_puts_away_what_was_killed_with_its_watcher_and_nothing_that_lives(
    start: Callable[..., KilledRun], tmp_path: Path
) -> None:
    killed, alive = start(watched=False), start(watched=False)
    killed.kill()
    cleaned = CliRunner().invoke(app, ["runs", "clean", "--runs", str(tmp_path / "runs")])
    assert f"closed      {killed.run_id}, which was killed" in cleaned.output
    assert killed.is_put_away()
    assert MlflowClient().get_run(killed.mlflow_run).status == "KILLED"
    assert not alive.is_put_away()
    assert MlflowClient().get_run(alive.mlflow_run).status == "RUNNING"
    assert clean_dead_runs(tmp_path / "runs") == []


def test_a_killed_run_of_another_version_is_put_away(start: Callable[..., KilledRun], tmp_path: Path) -> None:
    run = start(watched=False)
    run.kill()
    (run.folder / "config.json").write_text('{"experiment": "test-killed", "colour": "red"}')
    assert clean_dead_runs(tmp_path / "runs") == [run.run_id]
    assert run.is_put_away()
    assert MlflowClient().get_run(run.mlflow_run).status == "KILLED"


def test_a_file_that_names_another_folder_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / LIVE_FILE).write_text(f'{{"run_id": "run", "temporary": "{tmp_path / "precious"}"}}')
    assert clean_dead_runs(tmp_path / "runs") == []
    assert (tmp_path / "precious").is_dir()


def test_a_run_that_ends_leaves_no_file_and_its_folder_is_nobody_elses_meanwhile(tmp_path: Path) -> None:
    run = LiveRun(run_id="run", temporary=None)
    with live_run(tmp_path, run):
        with pytest.raises(GiftError, match="belongs to a run that goes on"), live_run(tmp_path, run):
            pass
        assert clean_dead_runs(tmp_path.parent) == []
    assert list(tmp_path.iterdir()) == []
