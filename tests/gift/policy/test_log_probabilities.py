"""Log-probabilities of responses and their gradients: packed or padded, they are those of a plain forward pass."""

from pathlib import Path

import pytest
import torch
from small_policy import with_exact_norms
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from gift.config import ComputeConfig, LoraConfig
from gift.data.tokens import pad_left, pad_right
from gift.errors import GiftError
from gift.models.adapter import add_adapter
from gift.models.attention import GROUPED_ATTENTION, PLAIN_ATTENTION, fitting_attention
from gift.policy.log_probabilities import (
    ReferenceWithoutAdapter,
    TokenScores,
    read_packed,
    reads_packed,
    reference_model,
    response_log_probabilities,
    score_responses,
    trainable_model,
)
from gift.rollout.rollouts import Rollouts

PROMPTS = [[5, 6, 7, 8, 9], [5, 6, 7, 8, 9], [10, 11], [10, 11], [10, 11], [12]]
RESPONSES = [[20, 21, 1], [22, 23, 24, 25, 1], [1], [3, 3, 3, 3, 3, 3], [26, 1], [27]]
SIZES = [2, 3, 1]
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


def _model(family: str, attention: str = PLAIN_ATTENTION, **settings: object) -> PreTrainedModel:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 32,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "sliding_window": None,
    }
    config = AutoConfig.for_model(family, **shape | settings)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def _rollouts() -> Rollouts:
    return Rollouts(*pad_left(PROMPTS, pad=0), *pad_right(RESPONSES, pad=0))


def _scores_and_gradients(model: PreTrainedModel, rollouts: Rollouts) -> tuple[TokenScores, list[Tensor]]:
    model.zero_grad()
    scores = score_responses(model, rollouts, SIZES, temperature=0.7)
    weights = torch.linspace(-1, 1, scores.log_probabilities.numel()).view_as(scores.log_probabilities)
    (scores.log_probabilities * weights).sum().backward()
    return scores, [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_prompt_read_once_gives_what_a_padded_forward_pass_gives(family: str, tied: bool) -> None:
    """In float64, with norms that are computed in it too: log-probabilities, entropies and every gradient."""
    model = with_exact_norms(_model(family, tie_word_embeddings=tied).double())
    assert not reads_packed(model)
    expected, expected_gradients = _scores_and_gradients(model, _rollouts())
    found, gradients = _scores_and_gradients(read_packed(model), _rollouts())

    assert reads_packed(model)
    torch.testing.assert_close(found.log_probabilities, expected.log_probabilities, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.entropies, expected.entropies, rtol=0, atol=1e-9)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    assert max(gradient.abs().max() for gradient in gradients) > 0.1


@pytest.mark.parametrize("attention", [PLAIN_ATTENTION, GROUPED_ATTENTION])
def test_in_bf16_both_differ_by_rounding_alone(attention: str) -> None:
    model = _model("qwen2", attention, initializer_range=0.05).bfloat16()
    expected, _ = _scores_and_gradients(model, _rollouts())
    found, _ = _scores_and_gradients(read_packed(model), _rollouts())
    torch.testing.assert_close(found.log_probabilities, expected.log_probabilities, rtol=0, atol=0.02)


def _kept_numbers(model: PreTrainedModel) -> int:
    """That a forward pass keeps for the backward pass, parameters apart."""
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        score_responses(model, _rollouts(), SIZES, temperature=0.7)
    return sum(kept)


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_activation_checkpointing_keeps_little_and_has_the_same_gradients(
    family: str, lora: LoraConfig | None, tmp_path: Path
) -> None:
    """Of the model that is trained, and after it has sampled: transformers' switch rests in a model that evaluates."""
    _model(family, attention="eager", sliding_window=8 if family == "gemma2" else None).save_pretrained(tmp_path)
    plain, checkpointed = (
        trainable_model(tmp_path, ComputeConfig(activation_checkpointing=on), torch.device("cpu"), lora)
        for on in (False, True)
    )
    ids = torch.tensor([[5, 6, 7]])
    generated = [model.generate(ids, max_new_tokens=5, do_sample=False) for model in (plain, checkpointed)]
    assert torch.equal(*generated)
    assert _kept_numbers(checkpointed) < 0.4 * _kept_numbers(plain)
    _, expected = _scores_and_gradients(plain, _rollouts())
    _, found = _scores_and_gradients(checkpointed, _rollouts())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("family", [*FAMILIES, "gemma2"])
def test_the_reference_without_the_adapter_is_the_model_that_training_began_with(family: str, tmp_path: Path) -> None:
    _model(family, attention="eager", sliding_window=8 if family == "gemma2" else None).save_pretrained(tmp_path)
    compute, cpu = ComputeConfig(precision="bf16"), torch.device("cpu")
    policy = trainable_model(tmp_path, compute, cpu, LoraConfig(rank=2))
    for parameter in policy.parameters():
        parameter.data = parameter.data.bfloat16()  # as DeepSpeed makes it
    reference = ReferenceWithoutAdapter(policy)
    with torch.no_grad():
        expected = score_responses(reference_model(tmp_path, compute, cpu), _rollouts(), SIZES, 0.7)
        at_first = score_responses(policy, _rollouts(), SIZES, 0.7)
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter)
        moved = score_responses(policy, _rollouts(), SIZES, 0.7)
        found = score_responses(reference, _rollouts(), SIZES, 0.7)
    assert torch.equal(at_first.log_probabilities, expected.log_probabilities)
    assert torch.equal(found.log_probabilities, expected.log_probabilities)
    assert not torch.equal(moved.log_probabilities, expected.log_probabilities)
    assert not list(reference.parameters())


EXPERTS = {"num_local_experts": 8, "num_experts": 8, "moe_num_experts": 8, "num_experts_per_tok": 2, "moe_k": 2}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("ernie4_5_moe", {"moe_intermediate_size": 16}),  # a router that transformers keeps in float32
        ("minimax_m2", {}),  # a buffer that chooses experts
        ("minimax", {}),  # buffers that are multiplied with the states
    ],
)
def test_in_bf16_policy_and_reference_are_one_model_at_first_whatever_a_family_keeps_otherwise(
    family: str, settings: dict[str, object], tmp_path: Path
) -> None:
    model = _model(family, "eager", num_key_value_heads=4, **EXPERTS | settings)
    for name, buffer in model.named_buffers():
        if name.endswith("bias"):
            buffer.copy_(torch.linspace(0, 0.01, len(buffer)))  # nearly the same, so that rounding decides
    model.save_pretrained(tmp_path)
    compute, cpu = ComputeConfig(precision="bf16"), torch.device("cpu")
    policy, reference = trainable_model(tmp_path, compute, cpu), reference_model(tmp_path, compute, cpu)
    for parameter in policy.parameters():
        parameter.data = parameter.data.bfloat16()  # as DeepSpeed makes it
    with torch.no_grad():
        found, expected = (score_responses(one, _rollouts(), SIZES, 0.7) for one in (policy, reference))
    assert torch.equal(found.log_probabilities, expected.log_probabilities)
    tensors = ((*one.parameters(), *one.buffers()) for one in (policy, reference))
    assert [tensor.dtype for tensor in next(tensors)] == [tensor.dtype for tensor in next(tensors)]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_get_the_gradients_of_a_padded_forward_pass(family: str) -> None:
    model = with_exact_norms(_model(family).double())
    add_adapter(model, LoraConfig(rank=2), seed=0).double()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter)
    expected, expected_gradients = _scores_and_gradients(model, _rollouts())
    found, gradients = _scores_and_gradients(read_packed(model), _rollouts())
    torch.testing.assert_close(found.log_probabilities, expected.log_probabilities, rtol=0, atol=1e-9)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    assert len(gradients) == 2 * 7 * 3


def test_a_model_that_reads_packed_rows_still_generates_and_gives_logits() -> None:
    model = _model("llama").eval()
    ids = torch.tensor([[5, 6, 7]])
    expected, generated = model(input_ids=ids).logits, model.generate(ids, max_new_tokens=5, do_sample=False)
    read_packed(model)
    assert torch.equal(model(input_ids=ids).logits, expected)
    assert torch.equal(model.generate(ids, max_new_tokens=5, do_sample=False), generated)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gemma2", {"head_dim": 8}),  # soft caps
        ("gpt_neox", {}),  # another kind of positions
        ("mistral", {"sliding_window": 4}),
        ("llama", {"attention_dropout": 0.1}),
        ("granite", {"logits_scaling": 2.0}),
    ],
)
def test_a_model_that_cannot_is_read_with_padding(family: str, settings: dict[str, object]) -> None:
    config = _model(family, attention="eager", **settings).config
    model = AutoModelForCausalLM.from_config(config, attn_implementation=fitting_attention(config, grouped=False))
    assert not reads_packed(read_packed(model))
    with pytest.raises(GiftError, match=f"compute.fp32_head is for .* this one is of {family}"):
        read_packed(model, fp32_head=True)


def test_an_fp32_head_is_nearer_to_the_exact_log_probabilities() -> None:
    model = _model("qwen2").bfloat16()
    with torch.no_grad():
        rounded = response_log_probabilities(read_packed(model), _rollouts(), 1.0)
    hidden_states_of = _model("qwen2").bfloat16()
    hidden_states_of.lm_head = hidden_states_of.lm_head.double()
    hidden_states_of.lm_head.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    with torch.no_grad():
        exact = response_log_probabilities(hidden_states_of, _rollouts(), 1.0)
        found = response_log_probabilities(read_packed(_model("qwen2").bfloat16(), fp32_head=True), _rollouts(), 1.0)
    assert (found - exact).abs().mean() < (rounded - exact).abs().mean()


def test_the_trained_model_reads_packed(tmp_path: Path) -> None:
    _model("qwen2").save_pretrained(tmp_path)
    model = trainable_model(tmp_path, ComputeConfig(), torch.device("cpu"))
    assert reads_packed(model)
    assert torch.equal(
        score_responses(model, _rollouts(), SIZES, 1.0).log_probabilities == 0, ~_rollouts().response_mask
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("packed", [True, False])
def test_rows_equal_plain_forward_passes(packed: bool, temperature: float) -> None:
    model = _model("llama", initializer_range=0.02).eval()
    model = read_packed(model) if packed else model
    with torch.no_grad():
        found = response_log_probabilities(model, _rollouts(), temperature)
        for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0].float() / temperature
            expected = logits.log_softmax(-1)[range(len(prompt) - 1, len(prompt + response) - 1), response]
            torch.testing.assert_close(found[row, : len(response)], expected, rtol=0, atol=1e-6)


def test_rows_are_a_slice_of_every_tensor() -> None:
    rows = _rollouts().rows(1, 3)
    assert len(rows) == 2
    assert rows.response_mask.sum().item() == 6
    assert rows.prompt_ids[1].tolist() == [0, 0, 0, 10, 11]
