"""Reads the master weights and moments of DeepSpeed's own checkpoints (stages 1 to 3, any number of ranks).

It knows nothing of what the project writes, which is compared with these. Each rank's file holds flat fp32 vectors; a
parameter is a handful of slices of them. DeepSpeed's own `zero_to_fp32` can't read what its bf16 optimizer writes under
stage 1.

Left out: frozen parameters, persistent buffers, expert and tensor parallelism, parameter alignment. The engine here
uses none of them, and the size check below finds a checkpoint that does.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gift.errors import GiftError


@dataclass(frozen=True)
class StoredParameter:
    """A parameter that is still on disk."""

    shape: torch.Size
    fragments: tuple[Tensor, ...]
    """1-D float32 views into the mapped files; together at least as long as the parameter (ZeRO-3 pads the end)."""

    def assemble(self) -> Tensor:
        """The parameter in float32."""
        flat = self.fragments[0] if len(self.fragments) == 1 else torch.cat(self.fragments)
        return flat[: self.shape.numel()].view(self.shape)


def read_parameters(checkpoint: Path, kind: str = "master") -> dict[str, StoredParameter]:
    """The master weights of the parameters, or a moment of them (`exp_avg`, `exp_avg_sq`), in the order of the groups.

    Of the step that `<checkpoint>/latest` names.

    Tied weights appear once, under their first name.

    Raises:
        GiftError: there is no checkpoint, a rank's file is missing, or the sizes don't add up.
    """
    folder = _step_folder(checkpoint)
    model_states = _load(_rank_files(folder, "model_states")[0])
    ranks = [_load(path)["optimizer_state_dict"] for path in _rank_files(folder, "optim_states")]
    saved_ranks = model_states["dp_world_size"]
    if len(ranks) != saved_ranks:
        raise GiftError(f"checkpoint {folder} was written by {saved_ranks} ranks, but holds files of {len(ranks)}")
    group_shapes: list[dict[str, torch.Size]] = model_states["param_shapes"]
    parameters = _parameters_of_stage_3 if "fp32_flat_groups" in ranks[0] else _parameters_of_stages_1_and_2
    return parameters(folder, group_shapes, [_vectors(rank, kind) for rank in ranks])


def read_step_counts(checkpoint: Path) -> set[float]:
    """Updates that AdamW has counted, over all ranks and vectors."""
    ranks = [_load(path)["optimizer_state_dict"] for path in _rank_files(_step_folder(checkpoint), "optim_states")]
    return {float(state["step"]) for rank in ranks for state in _states(rank).values()}


def _vectors(rank: dict[str, Any], kind: str) -> list[Tensor]:
    """One for each parameter group."""
    if kind == "master":
        vectors: list[Tensor] = rank.get("fp32_flat_groups") or rank["single_partition_of_fp32_groups"]
        return vectors
    return [state[kind] for _, state in sorted(_states(rank).items())]


def _states(rank: dict[str, Any]) -> dict[int, dict[str, Tensor]]:
    states: dict[int, dict[str, Tensor]] = (rank.get("optimizer_state_dict") or rank["base_optimizer_state"])["state"]
    return states


def _parameters_of_stages_1_and_2(
    folder: Path, group_shapes: list[dict[str, torch.Size]], ranks: list[list[Tensor]]
) -> dict[str, StoredParameter]:
    """Each parameter group is one long vector; rank 0 holds its first part, rank 1 the next, and so on."""
    parameters = {}
    for group, shapes in enumerate(group_shapes):
        vector = [rank[group] for rank in ranks]
        offset = 0
        for name, shape in shapes.items():
            parameters[name] = StoredParameter(shape, _slice(vector, offset, shape.numel()))
            offset += shape.numel()
        _check_size(folder, vector, offset, padding=2 * len(ranks))
    return parameters


def _parameters_of_stage_3(
    folder: Path, group_shapes: list[dict[str, torch.Size]], ranks: list[list[Tensor]]
) -> dict[str, StoredParameter]:
    """Every parameter is cut into one part per rank, at the same offset in each rank's vector."""
    parameters = {}
    offset = 0
    for name, shape in (item for shapes in group_shapes for item in shapes.items()):
        part = math.ceil(shape.numel() / len(ranks))
        fragments = tuple(fragment for vector in ranks for fragment in _slice(vector, offset, part))
        parameters[name] = StoredParameter(shape, fragments)
        offset += part
    _check_size(folder, ranks[0], offset, padding=1)
    return parameters


def _slice(vector: list[Tensor], start: int, length: int) -> tuple[Tensor, ...]:
    """Positions `start` … `start + length` of the concatenation of `vector`, as views of its pieces."""
    fragments = []
    for piece in vector:
        fragment = piece[max(0, start) : max(0, start + length)]
        if len(fragment):
            fragments.append(fragment)
        start -= len(piece)
    return tuple(fragments)


def _check_size(folder: Path, vector: list[Tensor], used: int, padding: int) -> None:
    held = sum(len(piece) for piece in vector)
    if not 0 <= held - used < padding:
        raise GiftError(f"checkpoint {folder} holds {held} weights where its parameters need {used}; it is damaged")


def _step_folder(checkpoint: Path) -> Path:
    latest = checkpoint / "latest"
    if not latest.is_file():
        raise GiftError(f"there is no checkpoint in {checkpoint}: the file 'latest', written last, is missing")
    return checkpoint / latest.read_text().strip()


def _rank_files(folder: Path, kind: str) -> list[Path]:
    """Files named `[bf16_]zero_pp_rank_<rank>_mp_rank_00_<kind>.pt`, or `mp_rank_00_<kind>.pt` for one for all."""
    files = sorted(folder.glob(f"*mp_rank_00_{kind}.pt"), key=_rank_of)
    if not files:
        raise GiftError(f"checkpoint {folder} is incomplete: it has no *_{kind}.pt file")
    return files


def _rank_of(path: Path) -> int:
    match = re.search(r"pp_rank_(\d+)_", path.name)
    return int(match[1]) if match else 0


def _load(path: Path) -> dict[str, Any]:
    """No code is run: besides tensors only three of DeepSpeed's classes are let in, each replaced by an empty one."""
    with torch.serialization.safe_globals([(_StandIn, name) for name in _DEEPSPEED_CLASSES]):
        content: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    return content


_DEEPSPEED_CLASSES = (
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
    "deepspeed.utils.tensor_fragment.fragment_address",
)


class _StandIn:
    """Takes the place of bookkeeping that a conversion does not need."""

    def __init__(self, *arguments: object) -> None:
        pass
