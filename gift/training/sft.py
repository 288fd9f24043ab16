"""SFT warm-up: next-token cross-entropy on the completions of demonstrations. One process per rank:

    demonstrations → tokens → global batch (same on every rank) → my share → micro-batches → DeepSpeed → weights

Every `ranks`-th demonstration is a rank's own, so that all get the same mix of lengths. Left out: early stopping.
"""

import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from torch import Tensor

from gift.config import RunConfig
from gift.data.problems import read_problems
from gift.data.tokens import Demonstration, pad_left, pad_right, tokenize_demonstrations
from gift.launch.rank_job import TrainingJob, read_job
from gift.models.ends import load_tokenizer_and_ends
from gift.policy.log_probabilities import reads_packed, score_responses, trainable_model
from gift.policy.micro_batches import Lengths, MicroBatch
from gift.rollout.rollouts import Rollouts
from gift.training.engine import (
    back_propagate,
    build_engine,
    end_update,
    guard_updates,
    initialize_ranks,
    largest_weight,
    update_deadline,
)
from gift.training.health import Health
from gift.training.order import batch_indices, derived_seed
from gift.training.reduce import agreed_micro_batches, sum_over_ranks
from gift.training.reports import say_what_is_slow, step_reports
from gift.training.resume import TrainingState, open_checkpoints
from gift.training.shards import save_weights

SHOWN = {"loss": "loss {:.3f}", "tokens_per_second": "{:,.0f} tok/s"}


def train(job: TrainingJob) -> None:
    """Run all SFT steps that are left on this rank and save the weights.

    Raises:
        GiftError: a demonstration does not fit the context, or training is sick.
    """
    config = job.config
    device = initialize_ranks(config.compute)
    tokenizer, _ = load_tokenizer_and_ends(job.model, config.prompt_format)
    problems = read_problems(job.data / "sft.jsonl")
    demonstrations = tokenize_demonstrations(tokenizer, problems, config.prompt_format, config.model.context_length)
    engine = build_engine(
        trainable_model(job.model, config.compute, device, config.lora, config.seed),
        config.compute,
        config.sft.optimizer,
        total_steps=config.sft.steps,
    )
    say_what_is_slow(engine, config.compute)
    with (
        open_checkpoints(job, steps=config.sft.steps, every=config.sft.checkpoint_every) as checkpoints,
        step_reports(job, "sft", checkpoints.remaining, SHOWN) as reports,
    ):
        checkpoints.restore(engine)
        health = Health(config, checkpoints.start.health)
        guard_updates(engine, health.refuses)
        health.judge(largest_weight(engine))
        for step in checkpoints.remaining:
            torch.manual_seed(derived_seed(config.seed, "sft", step, dist.get_rank()))
            batch = _batch(demonstrations, config, step)
            with update_deadline(config.compute, step):
                metrics = _train_step(engine, batch, config, tokenizer.pad_token_id, device)
            reports.report(step, metrics)
            health.note_update(metrics["grad_norm"])
            judgement = health.judge(largest_weight(engine))
            reports.follow(step, judgement, partial(_record, batch))
            if judgement.left_out and config.health.sick_update == "rewind":
                checkpoints.rewind(engine)
            checkpoints.save(engine, TrainingState(step=step + 1, health=health.state), reports)
        health.check_end()
        save_weights(engine, job.checkpoint)  # before anything is closed, which may fail


def _train_step(
    engine: DeepSpeedEngine, batch: list[Demonstration], config: RunConfig, pad: int, device: torch.device
) -> dict[str, float]:
    """One update from the global batch; returns its metrics (the same on every rank)."""
    started = time.monotonic()
    learning_rate = engine.get_lr()[0]
    batch_tokens = sum(len(demonstration.completion) for demonstration in batch)
    mine = _rollouts(batch[dist.get_rank() :: config.compute.ranks], pad, device)
    lengths = Lengths(mine, 1, packed=reads_packed(engine))
    micro_batches, _ = agreed_micro_batches(lengths, config.compute.tokens_per_micro_batch)
    # DeepSpeed averages over ranks; the loss is a mean over the tokens of the whole batch.
    scale = config.compute.ranks / batch_tokens
    negative_log_likelihood = 0.0

    def loss_of(rows: MicroBatch) -> Tensor:
        nonlocal negative_log_likelihood
        scores = score_responses(engine, mine.rows(rows.start, rows.stop), rows.group_sizes, temperature=1.0)
        loss = -scores.log_probabilities.sum()
        negative_log_likelihood += loss.item()
        return loss * scale

    back_propagate(engine, micro_batches, loss_of)
    total = sum_over_ranks({"negative_log_likelihood": negative_log_likelihood}, device)["negative_log_likelihood"]
    seconds = time.monotonic() - started
    return {
        "loss": total / batch_tokens,
        "grad_norm": end_update(engine),
        "learning_rate": learning_rate,
        "tokens_per_second": sum(len(demonstration) for demonstration in batch) / seconds,
        "step_time": seconds,
    }


def _batch(demonstrations: list[Demonstration], config: RunConfig, step: int) -> list[Demonstration]:
    """The demonstrations of one step, longest first, so that micro-batches hold sequences of like length."""
    indices = batch_indices(len(demonstrations), config.sft.batch_size, step, config.seed)
    return sorted((demonstrations[index] for index in indices), key=len, reverse=True)


def _record(batch: list[Demonstration]) -> dict[str, object]:
    """For people."""
    return {"demonstrations": [asdict(demonstration) for demonstration in batch]}


def _rollouts(demonstrations: list[Demonstration], pad: int, device: torch.device) -> Rollouts:
    """The completions as if they had been sampled."""
    prompts = pad_left([demonstration.prompt for demonstration in demonstrations], pad)
    completions = pad_right([demonstration.completion for demonstration in demonstrations], pad)
    return Rollouts(*(part.to(device) for part in (*prompts, *completions)))


if __name__ == "__main__":
    train(read_job(Path(sys.argv[1])))
