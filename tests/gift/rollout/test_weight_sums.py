"""Whether an engine holds what was sent, told from sums alone."""

import pytest
import torch
from torch import nn

from gift.rollout.weight_sums import HeldWeight, held_weights, over_workers, weight_sum

SIZES = {"q_proj": 6, "k_proj": 2, "v_proj": 2}


class Engine(nn.Module):
    """As vLLM keeps a layer: what is multiplied together is one parameter."""

    packed_modules_mapping = {"qkv_proj": list(SIZES)}  # noqa: RUF012 (vLLM's own form)

    def __init__(self, parts: dict[str, torch.Tensor], norm: torch.Tensor) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"qkv_proj": nn.Module(), "packed_out_of_sight": nn.Module()})
        self.attention["qkv_proj"].weight = nn.Parameter(torch.cat(list(parts.values())))
        self.attention["packed_out_of_sight"].weight = nn.Parameter(torch.zeros(0))
        self.norm = nn.Module()
        self.norm.weight = nn.Parameter(norm)

    def get_model(self) -> nn.Module:
        return self


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def weights(request: pytest.FixtureRequest) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    parts = {name: 0.02 * torch.randn(rows, 2**12) for name, rows in SIZES.items()}
    return {name: part.to(request.param) for name, part in parts.items()}, torch.ones(2**12, dtype=request.param)


def stale(held: list[HeldWeight], parts: dict[str, torch.Tensor], norm: torch.Tensor) -> list[str]:
    sent = {f"attention.{name}.weight": weight_sum(part) for name, part in parts.items()}
    sent["norm.weight"] = weight_sum(norm)
    return [weight.name for weight in held if not weight.is_what(sent)]


def test_parameters_are_known_by_what_they_are_made_of(weights: tuple[dict[str, torch.Tensor], torch.Tensor]) -> None:
    parts, norm = weights
    held = held_weights(Engine(parts, norm))
    assert stale(held, parts, norm) == []
    changed = {name: part.clone() for name, part in parts.items()}
    changed["k_proj"][1, 7] *= 1 + 2**-7  # the least that bf16 can change
    assert stale(held, changed, norm) == ["attention.qkv_proj.weight"]
    assert stale(held, parts, norm * 2) == ["norm.weight"]


def test_changes_that_cancel_in_the_sum_do_not_in_the_squares(
    weights: tuple[dict[str, torch.Tensor], torch.Tensor],
) -> None:
    parts, norm = weights
    changed = norm.clone()
    changed[0], changed[1] = 0.5, 1.5
    assert stale(held_weights(Engine(parts, norm)), parts, changed) == ["norm.weight"]


def test_what_was_not_sent_is_not_held(weights: tuple[dict[str, torch.Tensor], torch.Tensor]) -> None:
    parts, norm = weights
    held = held_weights(Engine(parts, norm))
    assert stale(held, {name: parts[name] for name in ("q_proj", "k_proj")}, norm) == ["attention.qkv_proj.weight"]


def test_over_several_workers_a_parameter_is_cut_or_copied(
    weights: tuple[dict[str, torch.Tensor], torch.Tensor],
) -> None:
    """As tensor parallelism does: norms are whole on each worker."""
    parts, norm = weights
    halves = [
        held_weights(Engine({name: part.chunk(2)[half] for name, part in parts.items()}, norm)) for half in (0, 1)
    ]
    assert stale(over_workers(halves), parts, norm) == []
    assert stale(over_workers([halves[0], halves[0]]), parts, norm) == ["attention.qkv_proj.weight"]
