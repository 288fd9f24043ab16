"""How much of an implicit reward s = Σ_t log π_θ − log π_ref is arithmetic: bf16 against float32, by length.

    GIFT_DATA_DIR=… python benchmarks/implicit_reward_noise.py --profile smollm2-gsm8k [--prompts 4] [--tokens 768]

Groups are sampled from the profile's base model, which is the reference, and never end before `--tokens`. The policy is
the reference after one step of Adam (each weight moves by the learning rate, along the sign of a gradient) on random
advantages for the first 96 tokens. Both are rounded to bf16, as a bf16 training computes with them; the truth is what
float32 makes of those same weights. GIFT normalises s within its group, so that a shift of a whole group is no error:
for each group and length the deviations from the group's mean are compared.

    spread        standard deviation of the true s within a group, in nats
    noise         the same of (s in bf16 − the true s): bf16 throughout, and with `compute.fp32_head`
    correlation   of the two, within groups
    batch         standard deviation of the difference between two batch shapes: the group together, and one by one

Left out: GPUs, whose kernels sum in another order, the rounding of float32 weights to bf16 (it changes the policy,
which samples with the rounded ones), and lengths beyond the context.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from gift.config import RunConfig, load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.data.tokens import tokenize_prompts
from gift.models.base_model import write_base_model
from gift.models.generation import Generation, generate
from gift.models.loading import load_model, load_tokenizer
from gift.policy.log_probabilities import read_packed, response_log_probabilities
from gift.rollout.rollouts import Rollouts

LENGTHS = (32, 96, 256, 768)
LEARNING_RATES = (1e-6, 1e-5, 1e-4)
TRAINED_TOKENS = 96
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Reading:
    """One way to compute log-probabilities."""

    dtype: torch.dtype
    fp32_head: bool = False
    together: bool = True
    """The group in one batch, its prompt once; else every response alone."""


TRUTH = Reading(torch.float32)
BF16 = Reading(torch.bfloat16)
FP32_HEAD = Reading(torch.bfloat16, fp32_head=True)
ALONE = Reading(torch.bfloat16, together=False)
READINGS = (TRUTH, BF16, FP32_HEAD, ALONE)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=max(LENGTHS))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        model, prompts = _model_and_prompts(load_profile(arguments.profile), Path(scratch), arguments.prompts)
    groups = [_group(model, prompt, arguments.group_size, arguments.tokens) for prompt in prompts]
    lengths = [length for length in LENGTHS if length <= arguments.tokens]
    reference = {name: value.detach().to(torch.bfloat16) for name, value in model.named_parameters()}
    direction = _adam_direction(model, groups)
    before = _read_all(model, reference, groups)
    size = sum(value.numel() for value in direction.values())
    shape = f"{len(groups)} groups x {arguments.group_size} responses x {arguments.tokens} tokens"
    print(f"\n{arguments.profile}: {size / 1e6:.0f} M weights, {shape}\n")
    print("| step | tokens | spread | noise | correlation | noise, fp32 head | correlation | batch |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for rate in LEARNING_RATES:
        moved = {name: value.float() + rate * direction[name] for name, value in reference.items()}
        after = _read_all(model, {name: value.to(torch.bfloat16) for name, value in moved.items()}, groups)
        rewards = {reading: after[reading] - before[reading] for reading in READINGS}  # (groups, N, T)
        for row in _rows(rewards, lengths):
            print(f"| {rate:.0e} | {row}", flush=True)


def _model_and_prompts(config: RunConfig, scratch: Path, count: int) -> tuple[PreTrainedModel, list[list[int]]]:
    data, folder = scratch / "data", scratch / "model"
    folder.mkdir()
    write_data(config, data)
    write_base_model(config, read_problems(data / "sft.jsonl"), folder)
    problems = read_problems(data / "train.jsonl", count)
    prompts = tokenize_prompts(load_tokenizer(folder), problems, config.prompt_format, config.rollout.max_prompt_tokens)
    return load_model(folder, torch.float32, torch.float32, CPU).eval(), prompts


def _group(model: PreTrainedModel, prompt: Sequence[int], responses: int, tokens: int) -> Rollouts:
    """Responses that do not end."""
    ids = torch.tensor([prompt] * responses)
    generation = Generation(ends=[-1], pad=0, max_new_tokens=tokens, temperature=1.0)
    sampled = generate(model, ids[:1], torch.ones_like(ids[:1]).bool(), generation, torch.zeros(responses).long())
    print(f"sampled {responses} x {sampled.shape[1]} tokens", flush=True)
    return Rollouts(ids, torch.ones_like(ids).bool(), sampled, torch.ones_like(sampled).bool())


def _adam_direction(model: PreTrainedModel, groups: Sequence[Rollouts]) -> dict[str, Tensor]:
    """Where one step of Adam moves each weight, in units of the learning rate."""
    names, weights = zip(*model.named_parameters(), strict=True)
    gradients = [torch.zeros_like(weight) for weight in weights]
    for group in groups:
        advantages = torch.randn(len(group))
        ids, mask = group.response_ids[:, :TRAINED_TOKENS], group.response_mask[:, :TRAINED_TOKENS]
        short = Rollouts(group.prompt_ids, group.prompt_mask, ids, mask)
        scores = response_log_probabilities(model, short, 1.0, len(group)).sum(dim=1)
        loss = -(advantages - advantages.mean()) @ scores
        for gradient, one in zip(gradients, torch.autograd.grad(loss, weights), strict=True):
            gradient += one
    return {name: -gradient.sign() for name, gradient in zip(names, gradients, strict=True)}


@torch.no_grad()
def _read_all(model: PreTrainedModel, weights: dict[str, Tensor], groups: Sequence[Rollouts]) -> dict[Reading, Tensor]:
    """Reading → (groups, N, T) float64 log-probabilities with these weights."""
    return {reading: torch.stack(list(_read(model, weights, groups, reading))) for reading in READINGS}


def _read(
    model: PreTrainedModel, weights: dict[str, Tensor], groups: Sequence[Rollouts], reading: Reading
) -> Iterator[Tensor]:
    other = type(model)(model.config).to(reading.dtype).eval()
    for name, value in other.named_parameters():  # where the head is tied, it is no parameter of its own
        value.copy_(weights[name])
    read_packed(other, fp32_head=reading.fp32_head)
    for group in groups:
        parts = [group] if reading.together else [group.rows(row, row + 1) for row in range(len(group))]
        yield torch.cat([response_log_probabilities(other, part, 1.0, len(part)) for part in parts]).double()


def _rows(rewards: dict[Reading, Tensor], lengths: Sequence[int]) -> Iterator[str]:
    for length in lengths:
        s = {reading: _centred(value[:, :, :length].sum(dim=2)) for reading, value in rewards.items()}
        cells = [f"{length}", f"{_deviation(s[TRUTH]):.3f}"]
        for reading in (BF16, FP32_HEAD):
            cells += [f"{_deviation(s[reading] - s[TRUTH]):.3f}", f"{_correlation(s[reading], s[TRUTH]):.2f}"]
        cells.append(f"{_deviation(s[BF16] - s[ALONE]):.3f}")
        yield " | ".join(cells) + " |"


def _centred(s: Tensor) -> Tensor:
    """(groups, N), less each group's mean."""
    return s - s.mean(dim=1, keepdim=True)


def _deviation(centred: Tensor) -> float:
    """Standard deviation within groups."""
    groups, responses = centred.shape
    return float((centred.square().sum() / (groups * (responses - 1))).sqrt())


def _correlation(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / (one.square().sum() * other.square().sum()).sqrt())


if __name__ == "__main__":
    main()
