"""Log-probabilities of response tokens: the one way in which policy and reference read responses.

Both sides of the implicit reward Σ log π_θ − log π_ref come from here, with the same number format and temperature; a
sampling engine's own log-probabilities never enter it.

    a model that attends as told (gift/models/attention.py)   one packed row, each prompt once, the head in blocks
    any other                                                 padded rows (gift/policy/padded.py), all logits

Left out: fused kernels of a GPU's own.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gift.config import ComputeConfig, LoraConfig
from gift.errors import GiftError
from gift.models.adapter import add_adapter, without_adapter
from gift.models.attention import FAMILIES, attends_as_told
from gift.models.loading import load_model, torch_dtype
from gift.policy.activation_checkpointing import checkpoint_activations
from gift.policy.head import head_log_probabilities
from gift.policy.packing import PackedRollouts, pack
from gift.policy.padded import check_padding, score_padded
from gift.rollout.rollouts import Rollouts

PADDED_READING = (
    "this kind of model reads every response with a copy of its prompt, padded: its attention can't be told otherwise"
)
"""What a training says once, where `reads_packed` is false."""


@dataclass(frozen=True)
class TokenScores:
    """Of B responses of at most R tokens each; 0 where masked."""

    log_probabilities: Tensor
    """(B, R) log π(y_t | x, y_<t) in nats, float32 or more precise; carries the gradient."""
    entropies: Tensor
    """(B, R) of π(· | x, y_<t) in nats, without gradient."""


def trainable_model(
    folder: Path, compute: ComputeConfig, device: torch.device, lora: LoraConfig | None = None, seed: int = 0
) -> PreTrainedModel:
    """The model of a folder as `gift.training.engine.build_engine` takes it: what is trained in float32.

    Args:
        lora: train adapters; `seed` decides what they begin with.

    Raises:
        GiftError: as `read_packed`, `load_model`, `check_padding`, `add_adapter` and `checkpoint_activations`.
    """
    precision = torch_dtype(compute.precision)
    model = load_model(folder, torch.float32 if lora is None else precision, precision, device)
    if not attends_as_told(model):
        check_padding(model)
    if lora is not None:
        model = add_adapter(model, lora, seed)
    if compute.activation_checkpointing:
        checkpoint_activations(model)
    return read_packed(model, fp32_head=compute.fp32_head)


def reference_model(folder: Path, compute: ComputeConfig, device: torch.device) -> PreTrainedModel:
    """The model of a folder on its device, frozen, in the number format in which the policy computes.

    The same format: at the first step the implicit rewards are exactly 0.

    Raises:
        GiftError: as `read_packed`, and as `load_model`.
    """
    precision = torch_dtype(compute.precision)
    model = load_model(folder, precision, precision, device)
    for parameter in model.parameters():  # some families keep a few in float32, which DeepSpeed does not
        parameter.data = parameter.data.to(precision)
    return read_packed(model.to(device).eval().requires_grad_(False), fp32_head=compute.fp32_head)


class ReferenceWithoutAdapter(nn.Module):
    """The model that a training of adapters began with, which is in the trained one: no second copy is kept."""

    def __init__(self, policy: nn.Module) -> None:
        """Args: `policy` is of `trainable_model`, or the engine around it."""
        super().__init__()
        self._policy = [policy]  # whose parameters are not this one's

    @property
    def module(self) -> nn.Module:
        """The model itself."""
        policy = self._policy[0]
        return cast(nn.Module, getattr(policy, "module", policy))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        with without_adapter(self.module):
            return self._policy[0](*inputs, **options)


def read_packed(model: PreTrainedModel, *, fp32_head: bool = False) -> PreTrainedModel:
    """The same model, which from now on takes `packed=PackedRollouts` and returns (log-probabilities, entropies).

    Other calls stay as they are, and so does a model that can't. The forward pass is the model's own call, and the
    head's its own, because ZeRO-3 gathers a module's weights when that module is called.

    Raises:
        GiftError: `fp32_head`, and the model can't.
    """
    if attends_as_told(model):
        head = model.get_output_embeddings()
        head.forward = _PackedHead(head, fp32_head)
        model.forward = _PackedForward(model)
    elif fp32_head:
        raise GiftError(
            f"compute.fp32_head is for models of the families {', '.join(FAMILIES)} with full attention, and this one "
            f"is of {model.config.model_type}: set it to false"
        )
    return model


def score_responses(
    model: nn.Module, rollouts: Rollouts, group_sizes: Sequence[int], temperature: float
) -> TokenScores:
    """Each response token's log-probability at the sampling temperature, and the entropy at its place.

    Args:
        model: of `trainable_model` or `reference_model`, or the engine around it.
        group_sizes: how many responses that follow one another answer the same prompt.
    """
    if not reads_packed(model):
        return TokenScores(*score_padded(model, rollouts, temperature))
    values = model(packed=pack(rollouts, group_sizes), temperature=temperature)  # (S,) each
    padded = [
        torch.zeros(rollouts.response_mask.shape, dtype=part.dtype, device=part.device).masked_scatter(
            rollouts.response_mask, part
        )
        for part in values
    ]
    return TokenScores(*padded)


def response_log_probabilities(model: nn.Module, rollouts: Rollouts, temperature: float, group_size: int = 1) -> Tensor:
    """The log-probabilities of `score_responses`, (B, R), for groups of one size."""
    sizes = [group_size] * (len(rollouts) // group_size)
    return score_responses(model, rollouts, sizes, temperature).log_probabilities


def reads_packed(model: nn.Module) -> bool:
    """Whether each prompt is read once per group."""
    return isinstance(getattr(model, "module", model).forward, _PackedForward)


class _PackedForward:
    """A causal language model's forward pass, which also reads packed rollouts."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model, self._plain = model, model.forward
        functools.update_wrapper(self, model.forward)  # `generate` looks at the arguments

    def __call__(
        self, *inputs: Any, packed: PackedRollouts | None = None, temperature: float = 1.0, **options: Any
    ) -> Any:
        if packed is None:
            return self._plain(*inputs, **options)
        hidden = self._model.base_model(
            input_ids=packed.ids,
            position_ids=packed.positions,
            # Of four dimensions: the model takes it for finished and makes none, and `attend` does not look at it.
            attention_mask=packed.ids.new_zeros(1, 1, 1, 1),
            use_cache=False,
            packed=packed,
        ).last_hidden_state[0]  # (T, h)
        head = self._model.get_output_embeddings()
        return head(hidden.index_select(0, packed.predictors), targets=packed.targets, temperature=temperature)


class _PackedHead:
    """A linear head's forward pass, which given targets returns their log-probabilities and entropies."""

    def __init__(self, head: nn.Linear, exact_logits: bool) -> None:
        self._head, self._plain, self._exact_logits = head, head.forward, exact_logits

    def __call__(self, hidden: Tensor, targets: Tensor | None = None, temperature: float = 1.0) -> Any:
        if targets is None:
            return self._plain(hidden)
        return head_log_probabilities(hidden, self._head.weight, targets, temperature, self._exact_logits)
