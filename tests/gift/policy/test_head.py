"""The head in blocks gives what torch's log_softmax gives, and keeps nothing of size tokens × vocabulary."""

import pytest
import torch
from torch import Tensor

from gift.policy import head
from gift.policy.head import head_log_probabilities

TOKENS, WIDTH, VOCABULARY = 23, 8, 97


@pytest.fixture(autouse=True)
def blocks_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "BLOCK_WORDS", 1)
    monkeypatch.setitem(head.BLOCK_LOGITS, "cpu", 5 * TOKENS)


def _inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, WIDTH, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(VOCABULARY, (TOKENS,), generator=generator)


def _twin(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    logits = hidden @ weight.T
    scores = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(dim=1)
    return scores.gather(1, targets[:, None]).squeeze(1), -(scores.exp() * scores).sum(dim=1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)]
)
def test_values_and_gradients_are_those_of_log_softmax(
    dtype: torch.dtype, tolerance: float, temperature: float
) -> None:
    hidden, weight, targets = _inputs(dtype)
    slope = torch.linspace(-1, 1, TOKENS, dtype=torch.float64)
    results = []
    for function in (head_log_probabilities, _twin):
        hidden.grad = weight.grad = None
        log_probabilities, entropies = function(hidden, weight, targets, temperature)
        (log_probabilities * slope).sum().backward()
        results.append((log_probabilities, entropies.detach(), hidden.grad, weight.grad))
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_extreme_logits_stay_finite() -> None:
    hidden, weight, targets = _inputs(torch.float32)
    log_probabilities, entropies = head_log_probabilities(hidden * 1e4, weight, targets, 1.0)
    assert log_probabilities.isfinite().all()
    assert entropies.isfinite().all()
    assert entropies.abs().max() < 1e-3


def test_exact_logits_are_not_rounded_to_the_models_format() -> None:
    hidden, weight, targets = _inputs(torch.bfloat16)
    exact, _ = _twin(hidden.double(), weight.double(), targets, 1.0)
    rounded, _ = head_log_probabilities(hidden, weight, targets, 1.0)
    found, _ = head_log_probabilities(hidden, weight, targets, 1.0, exact_logits=True)
    assert (found - exact).abs().max() < 1e-5 < (rounded - exact).abs().max()


def test_a_frozen_head_or_body_gets_no_gradient() -> None:
    hidden, weight, targets = _inputs(torch.float32)
    head_log_probabilities(hidden, weight.detach(), targets, 1.0)[0].sum().backward()
    assert hidden.grad is not None
    hidden, weight, targets = _inputs(torch.float32)
    head_log_probabilities(hidden.detach(), weight, targets, 1.0)[0].sum().backward()
    assert weight.grad is not None


def test_nothing_of_tokens_times_vocabulary_is_kept() -> None:
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        head_log_probabilities(*_inputs(torch.float32), 1.0)
    assert max(kept) <= VOCABULARY * WIDTH
