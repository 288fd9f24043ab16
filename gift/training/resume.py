"""Goes on where a training job was killed: every `checkpoint_every` steps it leaves all that the rest depends on.

    save:   ranks ── DeepSpeed ──> the node's folder ── thread of its first rank ──> <uri>/step-<n>/node-<k>
    start:  the highest step that is whole on all nodes ──> each node's folder ── DeepSpeed ──> ranks

Training waits for the local disk, and up to two minutes for the upload of the checkpoint before where that still goes
on; then it leaves this checkpoint out. So a slow store costs time and checkpoints, but never the training. Each node
stores the files of its own ranks, as a directory whose manifest comes last; when those of all nodes are complete, the
checkpoint before is removed. So there is always one that is whole, whoever dies at whatever moment, for the price of
two in the store while one is on its way. Where the newest is damaged all the same, a start takes the one before, or
begins anew, and says so; nothing is removed before it is known what is whole.

Besides DeepSpeed's state (weights, optimizer, learning rate) a rank needs a few numbers, its `TrainingState`. There is
no random state: each step seeds its own, from the run's seed, the step and the rank. Metrics that MLflow may not have
yet travel with the checkpoint; those of steps that are done twice are logged twice.

A training that is sick goes back to the newest checkpoint, too, if the profile says so (`rewind`): then only weights
and optimizer do, and the steps in between are lost.

What is read back comes from the run's own prefix, is verified against the manifest, and still no code in it is run
(`gift.training.checkpoint`).

Left out: a last checkpoint on SIGTERM. It would take the rest of a step and the transfer of the whole state, where spot
nodes give notice of 30 to 120 seconds.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from pydantic import ValidationError

from gift.config import Section
from gift.config.section import Count, NonNegativeFloat
from gift.errors import GiftError
from gift.health import HealthState
from gift.launch.rank_job import TrainingJob
from gift.patience import ServicePatience
from gift.storage import DirectoryError, download_directory, upload_directory
from gift.storage.steps import complete_steps, part_uri, remove_all_but
from gift.training.checkpoint import check_share, load_checkpoint, save_checkpoint
from gift.training.engine import skip_update
from gift.training.reduce import first_rank_where, said_by_first_rank
from gift.training.reports import Reports

METRICS_FILE = "metrics.jsonl"
PATIENCE_SECONDS = 120.0
"""How long training waits for an upload, well below `gift.training.engine.COLLECTIVE_TIMEOUT`."""


class TrainingState(Section):
    """Where one rank stands between two steps, besides what DeepSpeed keeps."""

    step: Count = 0
    """Steps that are done."""
    num_tokens: NonNegativeFloat = 0.0
    """Prompts and responses on all ranks so far."""
    examples_taken: Count = 0
    """How far this rank has come in its `example_stream`; ranks that refill groups come to differ."""
    health: HealthState = HealthState()


class Checkpoints:
    """The checkpoints of a job, seen from one of its ranks. What is called here, all ranks must call."""

    def __init__(self, job: TrainingJob, steps: int, every: int) -> None:
        self._nodes = job.config.compute.nodes
        self._node, place_on_node = divmod(dist.get_rank(), job.config.compute.ranks // self._nodes)
        self._leads = place_on_node == 0
        self._uri = job.resume.uri
        self._folder = job.resume.folder / f"node-{self._node}"
        self._steps = steps
        self._every = every
        self._upload: threading.Thread | None = None
        self._patiently = ServicePatience.of(job.config)
        self.start = self._newest_whole("goes on after")
        if self.start.step and dist.get_rank() == 0 and (self._folder / METRICS_FILE).exists():
            shutil.copyfile(self._folder / METRICS_FILE, job.metric_spool)

    @property
    def remaining(self) -> range:
        """The steps that are still to do, counted from 0."""
        return range(self.start.step, self._steps)

    def restore(self, engine: DeepSpeedEngine) -> None:
        """Bring a new engine to where `start` says; then the other checkpoints are no longer needed."""
        if self.start.step:
            load_checkpoint(engine, self._folder, self.start.step)
            dist.barrier()
            if self._leads:
                shutil.rmtree(self._folder)
        if dist.get_rank() == 0:
            self._patiently(lambda: remove_all_but(self._uri, self.start.step))

    def rewind(self, engine: DeepSpeedEngine) -> None:
        """Bring weights and optimizer back to the newest checkpoint, if there is one. Steps and schedule go on."""
        self.finish()
        step, updates = self._newest_whole("goes back to").step, engine.lr_scheduler.last_epoch
        if step:
            load_checkpoint(engine, self._folder, step)
            while engine.lr_scheduler.last_epoch < updates:
                skip_update(engine)
            dist.barrier()
            if self._leads:
                shutil.rmtree(self._folder)

    def save(self, engine: DeepSpeedEngine, state: TrainingState, reports: Reports) -> None:
        """Leave a checkpoint, if one is due after `state.step` steps; after the last one there is nothing to resume."""
        if not self._every or state.step % self._every or state.step == self._steps:
            return
        if first_rank_where(self._still_storing()) is not None:
            if dist.get_rank() == 0:
                left_out = f"the checkpoint of step {state.step} is left out"
                print(f"  {left_out}: the one before is still on its way to the store", flush=True)
            return
        save_checkpoint(engine, self._folder, state.step, with_shared=self._leads)
        self._state_file().write_text(state.model_dump_json(), encoding="utf-8")
        reports.copy_unsent(self._folder / METRICS_FILE)
        dist.barrier()
        if self._leads:
            self._upload = threading.Thread(target=self._store, args=(state.step,), name="upload", daemon=True)
            self._upload.start()

    def finish(self) -> None:
        """Wait until this rank's upload is through, or takes too long."""
        if self._still_storing():
            print("  the newest checkpoint is given up: it is still on its way to the store", flush=True)

    def _still_storing(self) -> bool:
        if self._upload is None:
            return False
        self._upload.join(PATIENCE_SECONDS)
        return self._upload.is_alive()

    def _newest_whole(self, doing: str) -> TrainingState:
        """This rank's state in the newest checkpoint that is whole for all ranks; its files then lie in the folder."""
        found = self._patiently(lambda: complete_steps(self._uri, self._nodes)) if dist.get_rank() == 0 else []
        steps = iter(found)
        while step := said_by_first_rank(next(steps, 0)):
            state, fault = self._fetch(step)
            refusing = first_rank_where(fault is not None)
            if refusing is None:
                if dist.get_rank() == 0:
                    print(f"  {doing} step {step}, from {self._uri}", flush=True)
                return state
            if dist.get_rank() == refusing:
                print(f"  the checkpoint of step {step} is left aside: {fault}", flush=True)
            if self._leads:
                shutil.rmtree(self._folder, ignore_errors=True)
        if found:
            print(f"  starts from the beginning: no checkpoint at {self._uri} is whole", flush=True)
        return TrainingState()

    def _fetch(self, step: int) -> tuple[TrainingState, DirectoryError | None]:
        """This rank's state in the checkpoint of `step`, or why it can't go on from there."""
        fault = None
        try:
            if self._leads:
                self._patiently(lambda: download_directory(part_uri(self._uri, step, self._node), self._folder))
        except DirectoryError as error:
            fault = error
        dist.barrier()
        try:
            return self._read(step), fault
        except DirectoryError as error:
            return TrainingState(), fault or error

    def _read(self, step: int) -> TrainingState:
        file = self._state_file()
        try:
            state = TrainingState.model_validate_json(file.read_bytes())
            check_share(self._folder, step, dist.get_rank(), dist.get_world_size())
        except (OSError, ValidationError) as error:
            raise DirectoryError(f"its {file.name} can't be read ({type(error).__name__})") from error
        except GiftError as error:
            raise DirectoryError(str(error)) from error
        if state.step != step:
            raise DirectoryError(f"its {file.name} is of step {state.step}")
        return state

    def _store(self, step: int) -> None:
        """Runs in a thread. A store that is away costs a checkpoint, but not the training."""
        try:
            upload_directory(self._folder, part_uri(self._uri, step, self._node), replace=True, step=step)
            if step in complete_steps(self._uri, self._nodes):
                remove_all_but(self._uri, step)
        except GiftError as error:
            print(f"  the checkpoint of step {step} is not stored, and training goes on: {error}", flush=True)
        finally:
            shutil.rmtree(self._folder)

    def _state_file(self) -> Path:
        return self._folder / f"state-{dist.get_rank()}.json"


@contextmanager
def open_checkpoints(job: TrainingJob, *, steps: int, every: int) -> Iterator[Checkpoints]:
    """Find out where to start. Leaving waits until the last checkpoint is stored. All ranks.

    Args:
        steps: how many there are in all.
        every: steps between two checkpoints; 0 for none.

    Raises:
        GiftError: S3 or the disk failed.
    """
    checkpoints = Checkpoints(job, steps, every)
    try:
        yield checkpoints
    finally:
        checkpoints.finish()
