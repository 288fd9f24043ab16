"""On-policy GIFT training. One process per rank, and per step:

    prompts → N rollouts each from the current policy → rewards (G, N)
            → log-probabilities of policy and SFT reference → implicit rewards (G, N) → GIFT loss → one update

A group never leaves its rank, and a micro-batch holds whole groups, so that the group statistics are exact. The loss
is a mean over the responses of all groups, on all ranks, whose rewards differ; where there is none, the gradient is 0.

Left out: reusing rollouts for several updates, refilling groups without signal, other objectives and engines.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gift.algorithms.gift import active_groups, gift_terms
from gift.config import RunConfig
from gift.data.problems import Problem, read_problems
from gift.data.tokens import tokenize_prompts
from gift.errors import GiftError
from gift.models import load_model, load_tokenizer, torch_dtype
from gift.rewards import Reward, load_reward
from gift.rollout.rollouts import Rollouts
from gift.rollout.transformers import sample_groups
from gift.training.engine import build_engine, gathered_parameters, gradient_norm, initialize_ranks, save_checkpoint
from gift.training.job import TrainingJob, read_job
from gift.training.order import batch_indices
from gift.training.policy import response_log_probabilities
from gift.training.reduce import sum_over_ranks
from gift.training.reports import step_reports

SHOWN = {
    "reward": "reward {:.3f}",
    "kl": "kl {:.4f}",
    "completions/mean_length": "length {:.0f}",
    "tokens_per_second": "{:,.0f} tok/s",
}


@dataclass(frozen=True)
class Trainer:
    """What stays the same from step to step on this rank."""

    config: RunConfig
    engine: DeepSpeedEngine
    reference: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    reward: Reward
    device: torch.device


def train(job: TrainingJob) -> None:
    """Run all GIFT steps on this rank and save the checkpoint.

    Raises:
        GiftError: a prompt is too long, or a reward is no finite number.
    """
    config = job.config
    device = initialize_ranks(config.compute)
    # Each rank samples its own responses; the model is the same on all.
    torch.manual_seed(config.seed * 1_000 + dist.get_rank())
    tokenizer = load_tokenizer(job.model)
    problems = read_problems(job.data / "train.jsonl")
    prompts = tokenize_prompts(tokenizer, problems, config.rollout.max_prompt_tokens)
    precision = torch_dtype(config.compute.precision)
    trainer = Trainer(
        config=config,
        engine=build_engine(
            load_model(job.model, torch.float32, precision, device),
            config.compute,
            config.rl.optimizer,
            total_steps=config.rl.steps,
            micro_batch_size=config.rl.micro_batch_groups * config.rollout.group_size,
            accumulation_steps=config.rl.prompts_per_step // (config.rl.micro_batch_groups * config.compute.ranks),
        ),
        # The same number format as the policy: at the first step the implicit rewards are exactly 0.
        reference=load_model(job.model, precision, precision, device).to(device).eval().requires_grad_(False),
        tokenizer=tokenizer,
        reward=load_reward(config.reward),
        device=device,
    )
    with step_reports(job, "gift", config.rl.steps, SHOWN) as report:
        for step in range(config.rl.steps):
            indices = batch_indices(len(problems), config.rl.prompts_per_step, step, config.seed)
            mine = indices[dist.get_rank() :: config.compute.ranks]
            report(step, train_step(trainer, [problems[i] for i in mine], [prompts[i] for i in mine]))
    save_checkpoint(trainer.engine, job.checkpoint, step=config.rl.steps)


def train_step(trainer: Trainer, problems: list[Problem], prompts: list[list[int]]) -> dict[str, float]:
    """One update from this rank's prompts; returns the metrics of the whole batch (the same on every rank)."""
    started = time.monotonic()
    config, device = trainer.config, trainer.device
    learning_rate = trainer.engine.get_lr()[0]
    with gathered_parameters(trainer.engine):
        rollouts = sample_groups(
            trainer.engine.module,
            prompts,
            config.rollout,
            eos=trainer.tokenizer.eos_token_id,
            pad=trainer.tokenizer.pad_token_id,
        )
    sampled = time.monotonic()
    rewards = score(trainer, rollouts, problems)  # (G, N)
    active = sum_over_ranks({"groups": float(active_groups(rewards).sum())}, device)["groups"]
    sums = _update(trainer, rollouts, rewards, active)
    lengths = rollouts.response_mask.sum(dim=1)
    ended = (rollouts.response_ids == trainer.tokenizer.eos_token_id).any(dim=1)
    sums |= {
        "responses": float(len(rollouts)),
        "groups": float(len(rewards)),
        "tokens": float(lengths.sum()),
        "clipped": float((~ended).sum()),
        "reward": float(rewards.sum()),
        "reward_std": float(rewards.std(dim=1).sum()),
        "seconds": time.monotonic() - started,
        "sampling_seconds": sampled - started,
    }
    totals = sum_over_ranks(sums, device)
    seconds = totals["seconds"] / dist.get_world_size()
    return {
        "reward": totals["reward"] / totals["responses"],
        "reward_std": totals["reward_std"] / totals["groups"],
        "frac_reward_zero_std": 1 - active / totals["groups"],
        "loss": totals["loss"] / dist.get_world_size(),
        "kl": totals["kl"] / totals["tokens"],
        "entropy": totals["entropy"] / totals["tokens"],
        "completions/mean_length": totals["tokens"] / totals["responses"],
        "completions/clipped_ratio": totals["clipped"] / totals["responses"],
        "gift/correlation": totals["correlation"] / max(active, 1),
        "gift/implicit_reward_std": totals["implicit_std"] / totals["groups"],
        "gift/frac_at_floor": totals["at_floor"] / totals["groups"],
        "grad_norm": gradient_norm(trainer.engine),
        "learning_rate": learning_rate,
        "num_tokens": totals["tokens"],
        "step_time": seconds,
        "sampling_time": totals["sampling_seconds"] / dist.get_world_size(),
        "tokens_per_second": totals["tokens"] / seconds,
    }


def score(trainer: Trainer, rollouts: Rollouts, problems: list[Problem]) -> Tensor:
    """Explicit rewards of all responses, (G, N) float32.

    Raises:
        GiftError: the reward function returned something that is no finite number.
    """
    size = trainer.config.rollout.group_size
    texts = trainer.tokenizer.batch_decode(
        [ids[mask] for ids, mask in zip(rollouts.response_ids, rollouts.response_mask, strict=True)],
        skip_special_tokens=True,
    )
    rewards = torch.tensor([trainer.reward(text, problems[row // size]) for row, text in enumerate(texts)])
    if not torch.isfinite(rewards).all():
        row = int((~torch.isfinite(rewards)).nonzero()[0])
        raise GiftError(
            f"reward {trainer.config.reward} gave {rewards[row]} for problem {problems[row // size].id}; "
            "it must return a finite number"
        )
    return rewards.float().view(-1, size).to(trainer.device)


def _update(trainer: Trainer, rollouts: Rollouts, rewards: Tensor, active: float) -> dict[str, float]:
    """Back-propagate all groups of this rank and take the step; `active` counts groups with signal on all ranks."""
    config = trainer.config
    size, temperature = config.rollout.group_size, config.rollout.temperature
    rows = config.rl.micro_batch_groups * size
    # DeepSpeed averages over ranks and micro-batches; the loss is a mean over the active groups of all of them.
    scale = config.compute.ranks * (len(rollouts) // rows) / (max(active, 1.0) * size)
    sums = dict.fromkeys(("loss", "kl", "entropy", "correlation", "implicit_std", "at_floor"), 0.0)
    for start in range(0, len(rollouts), rows):
        batch = rollouts.rows(start, start + rows)
        with torch.no_grad():
            reference = response_log_probabilities(trainer.reference, batch, temperature)  # (B, R)
        policy = response_log_probabilities(trainer.engine, batch, temperature)
        implicit = (policy - reference).sum(dim=1).view(-1, size)  # (g, N)
        terms = gift_terms(implicit, rewards[start // size : (start + rows) // size], config.gift.std_floor)
        loss = terms.squared_error.sum() * scale
        trainer.engine.backward(loss)
        trainer.engine.step()
        log_ratio = (reference - policy).detach()
        sums["loss"] += loss.item() * rows / len(rollouts)
        sums["kl"] += float((log_ratio.exp() - log_ratio - 1).sum())  # the k3 estimator, 0 where masked
        sums["entropy"] -= float(policy.detach().sum())
        sums["correlation"] += float(terms.correlation.sum())
        sums["implicit_std"] += float(terms.implicit_std.sum())
        sums["at_floor"] += float((terms.implicit_std < config.gift.std_floor).sum())
    return sums


if __name__ == "__main__":
    train(read_job(Path(sys.argv[1])))
