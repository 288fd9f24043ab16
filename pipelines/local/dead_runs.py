"""Runs on this machine whose process was killed (SIGKILL, out of memory): what is left of them ends, and is put away.

    stages and ranks that go on → their temporary folder or containers → the runs that MLflow takes for running

`watcher` does it at once, from a process that waits for the run's end; the next run and `gift runs clean` do it for
runs that were killed together with that process. Left out: the run's folder, which keeps the log; the local servers,
which the next run uses; and what the run has stored, where the next one finds it.
"""

import os
import shutil
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from gift.config.section import Name
from gift.errors import GiftError
from gift.host.small_file import read_small_text
from gift.tracking import close_killed_run
from pipelines.local.live_run import dead_run
from pipelines.machine import processes

WHY = "gift run was killed on its machine"


def clean_dead_runs(runs: Path) -> list[str]:
    """Put away what killed runs left, below the folder of all runs; returns their ids.

    Raises:
        GiftError: MLflow or the Docker engine does not answer; the next call goes on.
    """
    folders = sorted(path.parent for path in runs.glob("*/live.json"))
    return [folder.name for folder in folders if clean_dead_run(folder)]


def clean_dead_run(folder: Path) -> bool:
    """The same for one run; False where it lives, or ended well."""
    with dead_run(folder) as run:
        if run is None:
            return False
        if run.temporary is None:
            _remove_containers(run.run_id, folder)
        else:
            _end_stages(run.temporary)
        close_killed_run(_experiment(folder / "config.json"), run.run_id, WHY)
        return True


class _OldConfig(BaseModel):
    """All that is asked of the configuration of a killed run, which another version may have written."""

    experiment: Name


def _experiment(config: Path) -> str:
    try:
        return _OldConfig.model_validate_json(read_small_text(config)).experiment
    except ValidationError:
        raise GiftError(f"{config} names no experiment: it is damaged; remove {config.parent}") from None


def _end_stages(temporary: Path) -> None:
    """Stages are known by their environment, whoever their parent is by now."""
    processes.stop([process for process in psutil.process_iter() if _works_in(process, str(temporary))], patience=0)
    shutil.rmtree(temporary, ignore_errors=True)


def _works_in(process: psutil.Process, temporary: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get("TMPDIR") == temporary
    except psutil.Error:  # it has ended, or is another user's
        return False


def _remove_containers(run_id: str, folder: Path) -> None:
    from pipelines.local.container_traces import remove_traces  # imports Docker's SDK, which few runs need

    remove_traces(run_id, folder)
