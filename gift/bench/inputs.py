"""What both sides read: two models, and one batch of groups, written once into a folder.

    policy/  reference/  batch.safetensors  case.json

The policy differs a little from the reference, so that the term that holds it there has a gradient.

Left out: anything pretrained. Speed does not depend on what a model says.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from gift.bench.cases import CASE_FILE, StepCase, read_step_case
from gift.rollout.rollouts import Rollouts
from gift.training.groups import GroupBatch

POLICY, REFERENCE = "policy", "reference"
BATCH = "batch.safetensors"
END = 0
"""The token that ends a response; none is in the batch, where every length is the case's own."""


def write_step_inputs(case: StepCase, folder: Path) -> None:
    """Make and fill a folder; the same case gives the same bytes."""
    folder.mkdir()
    (folder / CASE_FILE).write_text(case.model_dump_json(), encoding="utf-8")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(_architecture(case))
    _save(model, case, folder / REFERENCE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.002 * torch.randn_like(parameter)
    _save(model, case, folder / POLICY)
    save_file(_batch(case), folder / BATCH)


def read_step_batch(folder: Path, device: torch.device) -> GroupBatch:
    """The batch, with G = `case.prompts` groups of N = `case.group_size` responses."""
    case = read_step_case(folder)
    tensors = {name: tensor.to(device) for name, tensor in load_file(folder / BATCH).items()}
    prompts = tensors["prompt_ids"].repeat_interleave(case.group_size, dim=0)  # (B, P)
    return GroupBatch(
        rollouts=Rollouts(
            prompt_ids=prompts,
            prompt_mask=torch.ones_like(prompts, dtype=torch.bool),
            response_ids=tensors["response_ids"],
            response_mask=tensors["response_mask"],
        ),
        rewards=tensors["rewards"],
        names=tuple(f"problem-{index}" for index in range(case.prompts)),
        sampled_groups=case.prompts,
    )


def _architecture(case: StepCase) -> PretrainedConfig:
    """Llama, or Qwen2 where the projections to queries, keys and values have biases."""
    shape = case.model
    kind = Qwen2Config if shape.attention_bias else LlamaConfig
    return kind(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        num_key_value_heads=shape.key_value_heads,
        tie_word_embeddings=shape.tied_embeddings,
        max_position_embeddings=case.prompt_tokens + case.response_tokens,
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=END,
    )


def _save(model: PreTrainedModel, case: StepCase, folder: Path) -> None:
    model.save_pretrained(folder)
    words = {"<end>": END} | {f"word{index}": index for index in range(1, case.model.vocabulary_size)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<end>"))  # noqa: S106 (no secret)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(folder)  # noqa: S106


def _batch(case: StepCase) -> dict[str, torch.Tensor]:
    """prompt_ids (G, P), response_ids and response_mask (B, R), rewards (G, N)."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor(case.response_lengths).flatten()  # (B,)
    mask = torch.arange(case.response_tokens)[None] < lengths[:, None]  # (B, R)

    def words(*shape: int) -> torch.Tensor:
        return torch.randint(1, case.model.vocabulary_size, shape, generator=generator)

    return {
        "prompt_ids": words(case.prompts, case.prompt_tokens),
        "response_ids": torch.where(mask, words(len(lengths), case.response_tokens), END),
        "response_mask": mask,
        "rewards": torch.randn(case.prompts, case.group_size, generator=generator),
    }
