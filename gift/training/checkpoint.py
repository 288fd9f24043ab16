"""What a training goes on from: the master weights and AdamW's moments, as its ranks hold them, and how far it is.

    master/rank-0-of-2.safetensors      parameter → the numbers of it that rank 0 holds (`gift.weights.trained_weights`)
    exp_avg/…, exp_avg_sq/…             the same of the moments
    updates-0.json                      updates that are done, and those of them that were taken

Nothing in them knows how ZeRO had cut the parameters: any number of ranks reads it, each what it holds itself, with any
ZeRO stage and number format (the model's weights are the master weights, rounded). They hold numbers only, no code.

With `engine` and `shards` the only module that knows DeepSpeed. Left out: DeepSpeed's own checkpoints, which are
pickles and belong to one number of ranks; weights that are not trained, which the model's folder has; gradients, of
which there are none between two updates.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import deepspeed
import torch
import torch.distributed as dist
from pydantic import ValidationError
from torch import Tensor
from torch.optim import AdamW

from gift.config import Section
from gift.config.section import Count
from gift.errors import GiftError
from gift.training.engine import move_schedule
from gift.training.shards import held_fragments, optimizer_vectors, refresh_weights, save_fragments
from gift.weights.trained_weights import read_shares

MASTER, MOMENTS = "master", ("exp_avg", "exp_avg_sq")


class UpdateCounts(Section):
    """The same on all ranks."""

    done: Count
    """Taken or not: the schedule of the learning rate counts them all."""
    taken: Count
    """Those that AdamW counts."""


def save_checkpoint(engine: deepspeed.DeepSpeedEngine, folder: Path) -> None:
    """Leave what this rank holds in `folder`. All ranks; none waits for another."""
    adamw = engine.optimizer.optimizer
    save_fragments(engine, folder / MASTER)
    for moment in MOMENTS:
        save_fragments(engine, folder / moment, partial(_moment, adamw, moment))
    taken = adamw.state[optimizer_vectors(engine)[0]].get("step", 0)
    counts = UpdateCounts(done=engine.lr_scheduler.last_epoch, taken=int(taken))
    _counts_file(folder, dist.get_rank()).write_text(counts.model_dump_json(), encoding="utf-8")


@torch.no_grad()
def load_checkpoint(
    engine: deepspeed.DeepSpeedEngine, folder: Path, of: Sequence[int], ranks: int, *, keep_schedule: bool = False
) -> None:
    """Continue from what `ranks` ranks have left in `folder`. All ranks.

    Args:
        of: those whose files are read. This rank's own has all that it needs where as many ranks with the same ZeRO
            stage wrote it; else it may need any.
        keep_schedule: the learning rate goes on from where it is now.

    Raises:
        GiftError: a file is missing or damaged, or is of another model.
    """
    adamw, held = engine.optimizer.optimizer, held_fragments(engine)
    counts = _read_counts(folder, of[0])
    for vector in optimizer_vectors(engine):  # also those that hold nothing but padding, which AdamW steps, too
        adamw.state[vector] |= {name: _moment(adamw, name, vector) for name in MOMENTS}
        adamw.state[vector]["step"] = torch.tensor(float(counts.taken), device=vector.device)
    for kind in (MASTER, *MOMENTS):
        stored = read_shares(folder / kind, of, ranks)
        for name, fragment in held.items():
            if name not in stored or stored[name].shape != fragment.shape:
                raise GiftError(f"the checkpoint has no {name} of shape {fragment.shape}; it is of another model")
            vector = fragment.vector if kind == MASTER else _moment(adamw, kind, fragment.vector)
            part, filled = fragment.part_of(vector), 0
            for piece in stored[name].between(fragment.start, fragment.start + fragment.length):
                part[filled : filled + len(piece)].copy_(piece)
                filled += len(piece)
    refresh_weights(engine)
    if not keep_schedule:
        move_schedule(engine, counts.done)


def check_checkpoint(folder: Path, of: Sequence[int], ranks: int) -> None:
    """See that what `load_checkpoint` will read is there, before there is an engine.

    Raises:
        GiftError: a file is missing or damaged.
    """
    _read_counts(folder, of[0])
    for kind in (MASTER, *MOMENTS):
        read_shares(folder / kind, of, ranks)


def _moment(adamw: AdamW, name: str, vector: Tensor) -> Tensor:
    """(n,) float32; zeros before the first update, as AdamW itself begins."""
    state = adamw.state[vector]
    return state[name] if name in state else torch.zeros_like(vector)


def _counts_file(folder: Path, rank: int) -> Path:
    return folder / f"updates-{rank}.json"


def _read_counts(folder: Path, rank: int) -> UpdateCounts:
    file = _counts_file(folder, rank)
    try:
        return UpdateCounts.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise GiftError(f"{file.name} can't be read ({type(error).__name__})") from error
