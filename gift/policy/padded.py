"""Padded rows of prompt and response, for models whose attention can't be told otherwise, and who can be read so.

    pad pad x x x | y y pad     positions are counted from the first token of the prompt, and no token attends to a pad

Some families do not keep to it: a recurrent layer or a convolution without the mask reads the pads, and others count
positions in their own way. What such a model says of a response depends on the length of the others in its batch, so it
is refused. Left out: reading such models one response at a time.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from gift.errors import GiftError
from gift.rollout.rollouts import Rollouts

PROMPT, RESPONSE = 5, 6
"""Tokens that `check_padding` reads."""
PADS = 7
"""On each side of them; odd, as some families only fail at no multiple of a block."""
FURTHEST = {torch.float32: 1e-3, torch.bfloat16: 0.5}
"""Nats that rounding may change a token's log-probability by, in bf16 also an expert that is chosen by a hair."""


def score_padded(model: nn.Module, rollouts: Rollouts, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of response tokens, (B, R) each, 0 where masked."""
    ids = torch.cat([rollouts.prompt_ids, rollouts.response_ids], dim=1)  # (B, P + R)
    mask = torch.cat([rollouts.prompt_mask, rollouts.response_mask], dim=1)
    predicting = rollouts.response_ids.shape[1] + 1
    logits = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=(mask.cumsum(dim=1) - 1).clamp_min(0),
        logits_to_keep=predicting,  # only those that predict response tokens; some models return all the same
        use_cache=False,
    ).logits[:, -predicting:-1]  # (B, R, V)
    # Row by row, and again in the backward pass: a float32 copy of all logits would be most of a rank's memory.
    rows = [
        checkpoint(_score_row, row_logits, row_ids, temperature, use_reentrant=False)
        for row_logits, row_ids in zip(logits, rollouts.response_ids, strict=True)
    ]
    log_probabilities, entropies = (torch.stack(part) for part in zip(*rows, strict=True))
    return (
        torch.where(rollouts.response_mask, log_probabilities, 0.0),
        torch.where(rollouts.response_mask, entropies, 0.0),
    )


def _score_row(logits: Tensor, ids: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(R, V), (R,) → (R,) each."""
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    log_probabilities = scaled.log_softmax(dim=-1)
    entropies = -(log_probabilities.detach().exp() * log_probabilities.detach()).sum(dim=-1)
    return log_probabilities.gather(-1, ids[:, None]).squeeze(-1), entropies


@torch.no_grad()
def check_padding(model: PreTrainedModel) -> None:
    """Read one response by itself, as the model's family means it, and padded: two forward passes of some tokens.

    Raises:
        GiftError: the model finds it more or less likely by the padding.
    """
    words = model.get_input_embeddings().num_embeddings
    ids = torch.arange(1, PROMPT + RESPONSE + 1)[None] * 7919 % words  # any tokens, far apart
    alone = model(input_ids=ids, use_cache=False).logits[0, PROMPT - 1 : -1].float().log_softmax(dim=-1)
    expected = alone.gather(-1, ids[0, PROMPT:, None]).squeeze(-1)  # (R,)
    padded, _ = score_padded(model, _padded(ids), temperature=1.0)
    difference = (padded[0, :RESPONSE] - expected).abs().max().item()
    if not difference <= FURTHEST[model.dtype]:
        raise GiftError(
            f"a model of the family {model.config.model_type} reads a response otherwise when it is padded, by "
            f"{difference:.2g} nats a token, so that each would be scored by the lengths of its neighbours; use a "
            "model of another family"
        )


def _padded(ids: Tensor) -> Rollouts:
    """The response to the prompt, with pads before the one and behind the other."""
    prompt, response = ids[:, :PROMPT], ids[:, PROMPT:]
    pads = torch.zeros(1, PADS, dtype=torch.int64)
    ones, zeros = torch.ones_like(ids, dtype=torch.bool), pads.bool()
    return Rollouts(
        torch.cat([pads, prompt], dim=1),
        torch.cat([zeros, ones[:, :PROMPT]], dim=1),
        torch.cat([response, pads], dim=1),
        torch.cat([ones[:, PROMPT:], zeros], dim=1),
    )
