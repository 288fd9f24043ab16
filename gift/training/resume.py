"""Goes on where a training job was killed: every `checkpoint_every` steps it leaves all that the rest depends on.

    save:   ranks ── DeepSpeed ──> the node's folder ── thread of its first rank ──> <uri>/step-<n>/node-<k>
    start:  the highest step that is complete on all nodes ──> each node's folder ── DeepSpeed ──> ranks

Training waits for the local disk, and up to two minutes for the upload of the checkpoint before where that still goes
on; then it leaves this checkpoint out. So a slow store costs time and checkpoints, but never the training. Each node
stores the files of its own ranks, as a directory whose manifest comes last; when those of all nodes are complete, the
checkpoint before is removed. So there is always one that is whole, whoever dies at whatever moment, for the price of
two in the store while one is on its way.

Besides DeepSpeed's state (weights, optimizer, learning rate) a rank needs a few numbers, its `TrainingState`. There is
no random state: each step seeds its own, from the run's seed, the step and the rank. Metrics that MLflow may not have
yet travel with the checkpoint; those of steps that are done twice are logged twice.

What is read back comes from the run's own prefix, is verified against the manifest, and still no code in it is run
(`gift.training.engine.load_checkpoint`).

Left out: a last checkpoint on SIGTERM. It would take the rest of a step and the transfer of the whole state, where spot
nodes give notice of 30 to 120 seconds.
"""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine

from gift.config import Section
from gift.config.section import Count, NonNegativeFloat
from gift.errors import GiftError
from gift.health import HealthState
from gift.launch.rank_job import TrainingJob
from gift.storage import delete_directory, download_directory, list_paths, upload_directory
from gift.training.engine import load_checkpoint, save_checkpoint
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
        self.start = self._fetch(job.metric_spool)

    @property
    def remaining(self) -> range:
        """The steps that are still to do, counted from 0."""
        return range(self.start.step, self._steps)

    def restore(self, engine: DeepSpeedEngine) -> None:
        """Bring a new engine to where `start` says."""
        if self.start.step:
            load_checkpoint(engine, self._folder, self.start.step)
            dist.barrier()
            if self._leads:
                shutil.rmtree(self._folder)

    def save(self, engine: DeepSpeedEngine, state: TrainingState, reports: Reports) -> None:
        """Leave a checkpoint, if one is due after `state.step` steps; after the last one there is nothing to resume."""
        if not self._every or state.step % self._every or state.step == self._steps:
            return
        if _on_any_rank(self._still_storing()):
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

    def _fetch(self, metric_spool: Path) -> TrainingState:
        """Download the newest checkpoint and return this rank's state in it. What is no use is removed."""
        step = 0
        if dist.get_rank() == 0:
            step = newest_checkpoint(self._uri, self._nodes) or 0
            remove_all_but(self._uri, step)
        step = _said_by_first_rank(step)
        if step == 0:
            return TrainingState()
        if self._leads:
            download_directory(part_uri(self._uri, step, self._node), self._folder)
        dist.barrier()
        if dist.get_rank() == 0:
            print(f"  goes on after step {step}, from {self._uri}", flush=True)
            if (self._folder / METRICS_FILE).exists():
                shutil.copyfile(self._folder / METRICS_FILE, metric_spool)
        return TrainingState.model_validate_json(self._state_file().read_text(encoding="utf-8"))

    def _store(self, step: int) -> None:
        """Runs in a thread. A store that is away costs a checkpoint, but not the training."""
        try:
            upload_directory(self._folder, part_uri(self._uri, step, self._node), step=step)
            if newest_checkpoint(self._uri, self._nodes) == step:
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
        GiftError: there is a checkpoint, but it can't be read.
    """
    checkpoints = Checkpoints(job, steps, every)
    try:
        yield checkpoints
    finally:
        checkpoints.finish()


def part_uri(uri: str, step: int, node: int) -> str:
    """Where a node stores its part of the checkpoint of `step`."""
    return f"{uri}/step-{step}/node-{node}"


def newest_checkpoint(uri: str, nodes: int) -> int | None:
    """The highest step below `uri` for which the parts of all `nodes` are complete; None where there is none.

    Raises:
        GiftError: S3 can't be read.
    """
    manifests = (re.fullmatch(r"step-(\d+)/node-\d+/manifest\.json", path) for path in list_paths(uri))
    complete_parts = Counter(int(manifest[1]) for manifest in manifests if manifest)
    return max((step for step, parts in complete_parts.items() if parts == nodes), default=None)


def remove_all_but(uri: str, step: int) -> None:
    """Remove the checkpoints of other steps, complete or not.

    Raises:
        GiftError: S3 failed.
    """
    for name in sorted({path.partition("/")[0] for path in list_paths(uri)} - {f"step-{step}"}):
        delete_directory(f"{uri}/{name}")


def _said_by_first_rank(number: int) -> int:
    """The number of rank 0, on every rank."""
    said = torch.tensor(number, device=_device())
    dist.broadcast(said, src=0)
    return int(said)


def _on_any_rank(flag: bool) -> bool:
    flags = torch.tensor(int(flag), device=_device())
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags)


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
