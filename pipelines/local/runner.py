"""Runs the pipeline on this machine: checks first, then kfp's local runner, then the results into `runs/<run id>/`.

Left out: containers (`docker_runner`), starting the services (`services`), and clusters (`pipelines.kubeflow`).
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kfp import local
from kfp.dsl.base_component import BaseComponent

from gift.config import RunConfig
from gift.errors import GiftError, printable
from gift.execution.outbox import OUTBOX_VARIABLE
from gift.preflight.inputs import check_run
from gift.report.schema import Report, load_report
from gift.stages.lifecycle import finish_run
from gift.storage import check_storage, download_into
from gift.tracking import check_tracking
from pipelines.experiment import build_pipeline
from pipelines.experiments.experiment import PlannedExperiment
from pipelines.local.dead_runs import clean_dead_runs
from pipelines.local.live_run import TEMPORARY_PREFIX, LiveRun, live_run
from pipelines.local.run_log import RunLog, StageFailedError
from pipelines.local.server_commands import HOST
from pipelines.local.watcher import watched_over
from pipelines.machine import processes
from pipelines.machine.signals import interrupted_by_signals
from pipelines.post_training import post_training

NOTICE_SECONDS = 30.0
"""For a training to store a checkpoint (`gift.launch.notice`); as long as a cluster gives a pod."""
OUTBOX = ".outbox"
"""Beside the runs' own folders: what is finished, and not stored yet."""


@dataclass(frozen=True)
class LocalRun:
    """A finished run; `folder` holds report.json, report.html, config.json and run.log."""

    run_id: str
    folder: Path
    report: Report


@dataclass(frozen=True)
class Stages:
    """How kfp runs the stages of a run that takes place now."""

    kfp_runner: local.SubprocessRunner | local.DockerRunner
    temporary: Path | None = None
    """`TMPDIR` of stages that are processes here."""
    faults: list[str] = field(default_factory=list)
    """What is known about stages that failed, beside what they printed; grows while they run."""


@dataclass(frozen=True)
class StageRunner:
    """Where the stages of a run take place: `SUBPROCESSES`, or `docker_runner.containers`."""

    pipeline: BaseComponent
    host: str
    """The address of this machine that stages reach."""
    around: Callable[[Path], AbstractContextManager[Stages]]
    """What is there while the stages of a run run, whose folder is given."""
    stop: Callable[[], None]
    """Ends the stage that runs now, with all its ranks."""


@contextlib.contextmanager
def _in_subprocesses(folder: Path) -> Iterator[Stages]:
    names = ("TMPDIR", OUTBOX_VARIABLE)
    former = {name: os.environ[name] for name in names if name in os.environ}
    outbox = folder.parent.absolute() / OUTBOX
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, ignore_cleanup_errors=True) as temporary:
        os.environ["TMPDIR"] = temporary  # of the stages: kfp's leave a folder behind each
        os.environ[OUTBOX_VARIABLE] = str(outbox)
        try:
            yield Stages(local.SubprocessRunner(use_venv=False), Path(temporary))
        finally:
            with contextlib.suppress(OSError):  # not there, or something waits in it
                outbox.rmdir()
            for name in names:
                os.environ.pop(name)
            os.environ.update(former)


def _stop_subprocesses() -> None:
    # The services that we may have started are in sessions of their own and still needed.
    children = psutil.Process().children(recursive=True)
    family = [child for child in children if os.getsid(child.pid) == os.getsid(0)]
    # A stage, which kfp starts through a shell, hands SIGTERM on to its ranks as it should be handed on.
    processes.stop([child for child in family if _is_stage(child)], patience=NOTICE_SECONDS)
    processes.stop(family)


def _is_stage(process: psutil.Process) -> bool:
    try:
        return "kfp.dsl.executor_main" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


SUBPROCESSES = StageRunner(post_training, HOST, _in_subprocesses, _stop_subprocesses)


def check_experiment(planned: PlannedExperiment, folders: Sequence[Path], **disks: Path | None) -> None:
    """`check_run` for each of its trainings; raises `GiftError` for the first fault."""
    check_run(planned.base, folders, **disks)
    for config in planned.trials.values():
        check_run(config, ())


def check_services(config: RunConfig) -> None:
    """Raises: GiftError: S3 or MLflow does not answer, or not as a run needs it."""
    check_storage(config.storage.uri)
    check_tracking()


def run_locally(config: RunConfig, run_id: str, runs: Path, runner: StageRunner = SUBPROCESSES) -> LocalRun:
    """Run every stage where `runner` says, and fetch the report. A run that is there already goes on.

    Raises:
        GiftError: a stage failed; it is named, with its last lines and the log's place.
    """
    folder = runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    run_stages(runner.pipeline, config, run_id, folder, runner)
    download_into(f"{config.storage.uri}/runs/{run_id}/report", folder)
    _point_latest(runs, run_id)
    return LocalRun(run_id, folder, load_report(folder / "report.json"))


def run_experiment(planned: PlannedExperiment, runs: Path) -> Path:
    """Run, or go on with, an experiment; returns the folder with comparison.{json,html,md} and run.log.

    Raises:
        GiftError: a stage failed; it is named, with its last lines and the log's place.
    """
    folder = runs / planned.run_id
    folder.mkdir(parents=True, exist_ok=True)
    run_stages(build_pipeline(planned), planned.base, planned.run_id, folder)
    download_into(f"{planned.base.storage.uri}/runs/{planned.run_id}/comparison", folder)
    return folder


def run_stages(
    pipeline: Callable[..., object],
    config: RunConfig,
    run_id: str,
    folder: Path,
    runner: StageRunner = SUBPROCESSES,
) -> None:
    """Run all tasks of a pipeline that takes `config` (as JSON) and `run_id`; config.json and run.log go to `folder`.

    Raises:
        GiftError: a stage failed; it is named, with its last lines and the log's place. Or the run goes on elsewhere.
    """
    _put_killed_runs_away(folder.parent)
    (folder / "config.json").write_text(config.model_dump_json(indent=2), encoding="utf-8")
    log = RunLog(folder / "run.log", sys.stdout)
    with (
        runner.around(folder) as stages,
        live_run(folder, LiveRun(run_id=run_id, temporary=stages.temporary)),
        watched_over(folder),
        contextlib.closing(log),
        contextlib.redirect_stdout(log),
    ):
        local.init(stages.kfp_runner, pipeline_root=str(folder / "kfp"))
        try:
            _run_pipeline(pipeline, config.model_dump_json(), run_id)
        except KeyboardInterrupt:
            finish_run(config.model_dump_json(), run_id, "FAILED")  # kfp's exit handler never came to it
            raise
        except (RuntimeError, ValueError) as error:
            failure = _failure(log, folder, stages.faults)
            if "Inner task failed" not in str(error):
                if not stages.faults:
                    raise
                # kfp took a container that failed for one that succeeded, and then missed what the stage makes.
                finish_run(config.model_dump_json(), run_id, "FAILED")
            raise failure from None


def _put_killed_runs_away(runs: Path) -> None:
    try:
        for killed in clean_dead_runs(runs):
            print(f"closed the run {killed}, which was killed", flush=True)
    except GiftError as error:
        print(f"warning: not all that killed runs left is put away: {printable(str(error))}", flush=True)


def _run_pipeline(pipeline: Callable[..., object], config: str, run_id: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Task .* settings \['display_name'\]")  # they are for a cluster's pages
        warnings.filterwarnings("ignore", "You may be attemping to run a task that uses custom")  # the image's packages
        pipeline(config=config, run_id=run_id)


def _failure(log: RunLog, folder: Path, faults: Sequence[str]) -> StageFailedError:
    stage = log.stage or "that runs first"  # which ended before it said its name
    message = f"stage {stage} failed; the whole log is {folder / 'run.log'}; its last lines are"
    return StageFailedError(message, (*log.last_lines, *dict.fromkeys(faults)))


def _point_latest(runs: Path, run_id: str) -> None:
    """`runs/latest` is replaced in one step, so that a reader always finds a whole run behind it."""
    temporary = runs / f".latest-{run_id}"
    temporary.symlink_to(run_id)
    temporary.replace(runs / "latest")


def stages_end_with_us(runner: StageRunner = SUBPROCESSES) -> AbstractContextManager[None]:
    """Inside, an interrupt, SIGTERM or a closed terminal ends the running stage with all its ranks, then raises
    KeyboardInterrupt here; a SIGHUP that is ignored (nohup) stays so."""
    return interrupted_by_signals(runner.stop)
