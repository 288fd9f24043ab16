"""Goes on where a training job was killed: every `checkpoint_every` steps it leaves all that the rest depends on.

    save:   ranks ──> the node's folder ── thread of its first rank ──> <uri>/step-<n>/node-<k>-of-<nodes>
    start:  the highest step that is whole on all nodes ──> each node's folder ──> ranks

Training waits for the local disk, and up to two minutes for the upload of the checkpoint before where that still goes
on; then it leaves this checkpoint out. So a slow store costs time and checkpoints, but never the training. Each node
stores the files of its own ranks, as a directory whose manifest comes last; when those of all nodes are complete, the
checkpoint before is removed. So there is always one that is whole, whoever dies at whatever moment, for the price of
two in the store while one is on its way. Where the newest is damaged all the same, a start takes the one before, or
begins anew, and says so; nothing is removed before it is known what is whole.

Besides weights, moments and learning rate (`gift.training.checkpoint`) a rank needs a few numbers, its
`TrainingState`. There is no random state: each step seeds its own, from the run's seed, the step and the rank. Metrics
that MLflow may not have yet travel with the checkpoint; those of steps that are done twice are logged twice.

A training goes on from what another `Spread` left, too: other ranks, nodes, ZeRO stage. It finds that where the profile
allows it (`compute.elastic`, `gift.execution.train_once`). Each node then fetches the parts of all nodes. Weights,
moments, learning rate, health and the count of tokens are the same to the last bit, and SFT goes on with the same
batches. In reinforcement learning all ranks go on after the examples of the one that had come furthest: none comes
twice in an epoch, and where no rank had refilled groups none is left out. What a step samples is seeded by the rank,
and so is not what other ranks would have sampled.

A training that is sick goes back to the newest checkpoint, too, if the profile says so (`rewind`): then only weights
and optimizer do, and the steps in between are lost.

SIGTERM, at any rank, makes all of them store a checkpoint after the step that they are at, and end. Nothing is lost if
they are killed before that: what is stored in part counts as nothing, and the checkpoint before it is still there.

What is read back comes from the run's own prefix and is verified against the manifest; it is numbers, and no code.

Left out: choosing, of another spread's parts, those that a node needs something of.
"""

import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from pydantic import ValidationError

from gift.config import Section, Spread
from gift.config.section import Count, NonNegativeFloat
from gift.errors import GiftError
from gift.launch.notice import TOLD_TO_STOP
from gift.launch.rank_job import TrainingJob
from gift.patience import ServicePatience
from gift.storage import DirectoryError, download_directory, upload_directory
from gift.storage.steps import StoredStep, complete_steps, part_uri, remove_all_but
from gift.training.checkpoint import check_checkpoint, load_checkpoint, save_checkpoint
from gift.training.health import HealthState
from gift.training.reduce import first_rank_where, said_by_first_rank
from gift.training.reports import Reports

METRICS_FILE, SPREAD_FILE = "metrics.jsonl", "spread.json"
PATIENCE_SECONDS = 120.0
"""How long training waits for an upload; other ranks wait, too, for at most `compute.timeout_minutes`."""


Part = TypeVar("Part", bound=Section)


class TrainingState(Section):
    """Where one rank stands between two steps, besides what its optimizer holds."""

    step: Count = 0
    """Steps that are done."""
    num_tokens: NonNegativeFloat = 0.0
    """Prompts and responses on all ranks so far."""
    stream_start: Count = 0
    """Where the `example_stream` of all ranks begins: after what other ranks had taken."""
    examples_taken: Count = 0
    """How far this rank has come in it; ranks that refill groups come to differ."""
    health: HealthState = HealthState()


@dataclass(frozen=True)
class _Found:
    """A checkpoint whose files lie in the folder, as this rank sees it."""

    state: TrainingState
    spread: Spread
    """Of the ranks that wrote it."""
    needed: Sequence[int] = ()
    """Those of them whose files this rank needs."""


class Checkpoints:
    """The checkpoints of a job, seen from one of its ranks. What is called here, all ranks must call."""

    def __init__(self, job: TrainingJob, steps: int, every: int) -> None:
        compute = job.config.compute
        self._spread = compute.spread
        self._node, place_on_node = divmod(dist.get_rank(), compute.ranks // compute.nodes)
        self._leads = place_on_node == 0
        self._uri = job.resume.uri
        self._folder = job.resume.folder / f"node-{self._node}"
        self._steps = steps
        self._every = every
        self._upload: threading.Thread | None = None
        self._told_to_stop = False
        self._patiently = ServicePatience.of(job.config)
        self._found = self._newest_whole("goes on after")
        self.start = self._found.state
        if self.start.step and dist.get_rank() == 0 and (self._folder / METRICS_FILE).exists():
            shutil.copyfile(self._folder / METRICS_FILE, job.metric_spool)

    @property
    def remaining(self) -> range:
        """The steps that are still to do, counted from 0."""
        return range(self.start.step, self._steps)

    def restore(self, engine: DeepSpeedEngine) -> None:
        """Bring a new engine to where `start` says; then the other checkpoints are no longer needed."""
        self._load(engine, self._found)
        if self._every and dist.get_rank() == 0:
            self._patiently(lambda: remove_all_but(self._uri, self.start.step))

    def rewind(self, engine: DeepSpeedEngine) -> None:
        """Bring weights and optimizer back to the newest checkpoint, if there is one. Steps and schedule go on."""
        self.finish()
        self._load(engine, self._newest_whole("goes back to"), keep_schedule=True)

    def save(self, engine: DeepSpeedEngine, state: TrainingState, reports: Reports) -> None:
        """Leave a checkpoint, if one is due after `state.step` steps; after the last one there is nothing to resume.

        Raises:
            GiftError: a rank was told to stop; the checkpoint is stored, unless the line before says why not.
        """
        if not self._every or state.step == self._steps:
            return
        told = first_rank_where(self._told_to_stop)
        if told is not None or state.step % self._every == 0:
            self._save(engine, state, reports)
        if told is not None:
            self.finish()
            dist.barrier()  # the first rank that ends takes along those that still store
            raise GiftError(self._end_on_notice(told, state.step))

    def stop_soon(self) -> None:
        """To be called on any rank, at any moment; `save` then is the end."""
        self._told_to_stop = True

    def _end_on_notice(self, rank: int, step: int) -> str:
        node = rank // (self._spread.ranks // self._spread.nodes)
        who = "" if node == self._node else f"node {node} "
        return (
            f"{who}{TOLD_TO_STOP} after step {step} of {self._steps}; the next start goes on from the newest checkpoint"
        )

    def _save(self, engine: DeepSpeedEngine, state: TrainingState, reports: Reports) -> None:
        if first_rank_where(self._still_storing()) is not None:
            if dist.get_rank() == 0:
                left_out = f"the checkpoint of step {state.step} is left out"
                print(f"  {left_out}: the one before is still on its way to the store", flush=True)
            return
        save_checkpoint(engine, self._folder)
        self._state_file(dist.get_rank()).write_text(state.model_dump_json(), encoding="utf-8")
        reports.copy_unsent(self._folder / METRICS_FILE)
        if self._leads:
            (self._folder / SPREAD_FILE).write_text(self._spread.model_dump_json(), encoding="utf-8")
        dist.barrier()
        if self._leads:
            stored = StoredStep(state.step, self._spread.nodes)
            self._upload = threading.Thread(target=self._store, args=(stored,), name="upload", daemon=True)
            self._upload.start()

    def finish(self) -> None:
        """Wait until this rank's upload is through, or takes too long."""
        if self._still_storing():
            print("  the newest checkpoint is given up: it is still on its way to the store", flush=True)

    def _load(self, engine: DeepSpeedEngine, found: _Found, *, keep_schedule: bool = False) -> None:
        """Its files are no longer needed then."""
        if found.state.step:
            load_checkpoint(engine, self._folder, found.needed, found.spread.ranks, keep_schedule=keep_schedule)
            dist.barrier()
            if self._leads:
                shutil.rmtree(self._folder)

    def _still_storing(self) -> bool:
        if self._upload is None:
            return False
        self._upload.join(PATIENCE_SECONDS)
        return self._upload.is_alive()

    def _newest_whole(self, doing: str) -> _Found:
        """The newest checkpoint that is whole for all ranks; its files then lie in the folder."""
        asks = self._every and dist.get_rank() == 0
        stored = self._patiently(lambda: complete_steps(self._uri)) if asks else []
        candidates = iter(stored)
        while step := said_by_first_rank((candidate := next(candidates, StoredStep(0, 0))).step):
            found, fault = self._fetch(StoredStep(step, said_by_first_rank(candidate.nodes)))
            refusing = first_rank_where(fault is not None)
            if refusing is None:
                if dist.get_rank() == 0:
                    print(f"  {doing} step {step}, from {self._uri}{self._written_by(found.spread)}", flush=True)
                return found
            if dist.get_rank() == refusing:
                print(f"  the checkpoint of step {step} is left aside: {fault}", flush=True)
            if self._leads:
                shutil.rmtree(self._folder, ignore_errors=True)
        if stored:
            print(f"  starts from the beginning: no checkpoint at {self._uri} is whole", flush=True)
        return _Found(TrainingState(), self._spread)

    def _fetch(self, stored: StoredStep) -> tuple[_Found, DirectoryError | None]:
        """A checkpoint as this rank sees it, or why it can't go on from there."""
        fault = None
        try:
            if self._leads:
                self._fetch_parts(stored)
        except DirectoryError as error:
            fault = error
        dist.barrier()
        try:
            return self._read(stored.step), fault
        except DirectoryError as error:
            return _Found(TrainingState(), self._spread), fault or error

    def _fetch_parts(self, stored: StoredStep) -> None:
        """This node's own, where as many nodes with the same cut wrote them; else all."""
        nodes = list(range(stored.nodes))
        if stored.nodes == self._spread.nodes:
            nodes.remove(self._node)
            self._fetch_part(stored, self._node)
            if self._cut_alike(self._read_spread()):
                return
        for node in nodes:
            self._fetch_part(stored, node)

    def _fetch_part(self, stored: StoredStep, node: int) -> None:
        """Beside those that are there; each rank's files have names of their own."""
        part = self._folder.with_name(f"{self._folder.name}-part")
        self._patiently(lambda: download_directory(part_uri(self._uri, stored, node), part))
        shutil.copytree(part, self._folder, dirs_exist_ok=True, copy_function=shutil.move)
        shutil.rmtree(part)

    def _read(self, step: int) -> _Found:
        try:
            spread = self._read_spread()
            needed = [dist.get_rank()] if self._cut_alike(spread) else range(spread.ranks)
            states = {rank: self._read_state(rank, step) for rank in needed}
            check_checkpoint(self._folder, needed, spread.ranks)
        except DirectoryError:
            raise
        except GiftError as error:
            raise DirectoryError(str(error)) from error
        state = states[dist.get_rank()] if spread.ranks == self._spread.ranks else _taken_over(states)
        return _Found(state, spread, needed)

    def _read_state(self, rank: int, step: int) -> TrainingState:
        file = self._state_file(rank)
        state = _read_section(file, TrainingState)
        if state.step != step:
            raise DirectoryError(f"its {file.name} is of step {state.step}")
        return state

    def _cut_alike(self, spread: Spread) -> bool:
        """Whether each rank holds now what the rank of its number held then."""
        return (spread.ranks, spread.zero_stage) == (self._spread.ranks, self._spread.zero_stage)

    def _read_spread(self) -> Spread:
        return _read_section(self._folder / SPREAD_FILE, Spread)

    def _store(self, stored: StoredStep) -> None:
        """Runs in a thread. A store that is away costs a checkpoint, but not the training."""
        try:
            upload_directory(self._folder, part_uri(self._uri, stored, self._node), replace=True, step=stored.step)
            if stored in complete_steps(self._uri):
                remove_all_but(self._uri, stored.step)
        except GiftError as error:
            print(f"  the checkpoint of step {stored.step} is not stored: {error}", flush=True)
        finally:
            shutil.rmtree(self._folder)

    def _written_by(self, spread: Spread) -> str:
        if spread == self._spread:
            return ""
        return f", written by {spread.ranks} rank(s) on {spread.nodes} node(s) with ZeRO-{spread.zero_stage}"

    def _state_file(self, rank: int) -> Path:
        return self._folder / f"state-{rank}.json"


def _taken_over(states: Mapping[int, TrainingState]) -> TrainingState:
    """Where each of another number of ranks stands after those that had these states."""
    first, furthest = states[0], max(state.examples_taken for state in states.values())
    return first.model_copy(update={"stream_start": first.stream_start + len(states) * furthest, "examples_taken": 0})


def _read_section(file: Path, kind: type[Part]) -> Part:
    try:
        return kind.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise DirectoryError(f"its {file.name} can't be read ({type(error).__name__})") from error


@contextmanager
def open_checkpoints(job: TrainingJob, *, steps: int, every: int) -> Iterator[Checkpoints]:
    """Find out where to start. Leaving waits until the last checkpoint is stored. All ranks.

    Args:
        steps: how many there are in all.
        every: steps between two checkpoints; 0 for none: then none is looked for, either, and the store is not asked.

    Raises:
        GiftError: S3 or the disk failed.
    """
    checkpoints = Checkpoints(job, steps, every)
    if every:  # for good: a rank that has done its last step must not be ended on its way out
        signal.signal(signal.SIGTERM, lambda *_: checkpoints.stop_soon())
    try:
        yield checkpoints
    finally:
        checkpoints.finish()
