"""Training on groups of scored responses. One process per rank, and per step:

    groups of N responses ──> rewards (G, N) ──> objective (GIFT, GRPO, DAPO, DPO, …) ──> update(s) ──> metrics

The groups come from the current policy, from the SFT model before the first step, or from a data set (`rl.groups`);
everything else is the same for all objectives. The rollout engine and the rewards are there as long as somebody
samples, groups or looks at held-out problems, and the engine gets new weights just before it does.

With `rollout.lag: k` a batch waits for k steps before it is learned from: off-policy, as where rollouts overlap with
training, but without any gain of time. Left out: rollouts that do overlap with it.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from torch import nn
from transformers import PreTrainedTokenizerBase

from gift.algorithms import load_objective
from gift.config import RunConfig
from gift.data.problems import read_problems
from gift.data.scored import read_scored
from gift.data.tokens import tokenize_prompts
from gift.launch.rank_job import TrainingJob, read_job
from gift.models.ends import load_tokenizer_and_ends
from gift.policy.log_probabilities import (
    ReferenceWithoutAdapter,
    reference_model,
    trainable_model,
)
from gift.rewards import open_scorer
from gift.rollout.choose import open_engine
from gift.training.diagnostics import batch_sums, implicit_reward_noise, step_metrics
from gift.training.engine import (
    build_engine,
    gradient_norm,
    guard_updates,
    initialize_ranks,
    largest_weight,
    update_deadline,
)
from gift.training.engine_check import check_engine
from gift.training.groups import GroupBatch
from gift.training.health import Health
from gift.training.heldout import Heldout, due, heldout_metrics
from gift.training.order import derived_seed, example_stream
from gift.training.reports import say_what_is_slow, step_reports
from gift.training.resume import TrainingState, open_checkpoints
from gift.training.sampling import BatchQueue, Sampler, engine_deadline, scored_data
from gift.training.shards import save_weights, sharded_weights
from gift.training.update import Learner, update, with_log_probabilities

SHOWN = {
    "reward": "reward {:.3f}",
    "loss": "loss {:.3f}",
    "completions/mean_length": "length {:.0f}",
    "tokens_per_second": "{:,.0f} tok/s",
}


def train(job: TrainingJob) -> None:
    """Run all steps that are left on this rank and save the weights.

    Raises:
        GiftError: a prompt is too long, a reward is no finite number, the data has no groups of the right size, or
            training is sick.
    """
    config = job.config
    device = initialize_ranks(config.compute, config.rollout.timeout_minutes)
    tokenizer, ends = load_tokenizer_and_ends(job.model, config.prompt_format)
    with ExitStack() as resources:
        checkpoints = resources.enter_context(
            open_checkpoints(job, steps=config.rl.steps, every=config.rl.checkpoint_every)
        )
        state = checkpoints.start
        learner = _learner(job, device, Health(config, state.health))
        sampling = resources.enter_context(ExitStack())
        sampler = (
            sampling.enter_context(_open_sampler(job, learner, tokenizer, ends, state)) if config.samples else None
        )
        # Before the weights are restored: the SFT model's groups need its own.
        make_batch = _group_source(job, sampler, tokenizer, state, device)
        batches = BatchQueue(make_batch, checkpoints.remaining, config.rollout.lag, device)
        if not config.samples_while_training:
            sampling.close()
        elif sampler:
            sampler.rest()
        checkpoints.restore(learner.engine)
        heldout = _heldout(job, tokenizer) if config.rl.heldout_every else None
        reports = resources.enter_context(step_reports(job, config.algorithm, checkpoints.remaining, SHOWN))
        learner.health.judge(largest_weight(learner.engine))
        for step in checkpoints.remaining:
            torch.manual_seed(derived_seed(config.seed, "training", step, dist.get_rank()))
            look = due(config, step)
            samples = look or (config.group_source == "on-policy" and batches.makes(step))
            sync_seconds = sampler.refresh() if sampler and samples else 0.0
            batch = batches.take(step)
            looked = heldout_metrics(sampler, heldout, batch, device) if sampler and heldout and look else {}
            if sampler and samples:
                sampler.rest()
            batches.keep(partial(with_log_probabilities, learner))
            if look and config.algorithm == "gift":
                looked |= implicit_reward_noise(learner, batch)
            learning_rate = learner.engine.get_lr()[0]
            with update_deadline(config.compute, step, config.rollout.timeout_minutes):
                started = time.monotonic()
                sums = batch_sums(batch, ends) | update(learner, batch)
                metrics = step_metrics(
                    sums,
                    grad_norm=gradient_norm(learner.engine) if sums["updates"] else 0.0,
                    learning_rate=learning_rate,
                    seconds=sync_seconds + batch.seconds + time.monotonic() - started,
                    earlier_tokens=state.num_tokens,
                    device=device,
                )
            reports.report(step, metrics | looked)
            judgement = learner.health.judge(largest_weight(learner.engine), metrics)
            reports.follow(step, judgement, batch.record)
            if judgement.left_out and config.health.sick_update == "rewind":
                checkpoints.rewind(learner.engine)
            state = TrainingState(
                step=step + 1,
                num_tokens=metrics["num_tokens"],
                stream_start=state.stream_start,
                examples_taken=state.examples_taken + batch.sampled_groups,
                health=learner.health.state,
            )
            checkpoints.save(learner.engine, state, reports)
        learner.health.check_end()
        # Before anything is closed, which may fail.
        save_weights(learner.engine, job.checkpoint)


def _learner(job: TrainingJob, device: torch.device, health: Health) -> Learner:
    config = job.config
    engine = build_engine(
        trainable_model(job.model, config.compute, device, config.lora, config.seed),
        config.compute,
        config.rl.optimizer,
        total_steps=config.rl.steps * config.rl.mini_batches,
    )
    guard_updates(engine, health.refuses)
    say_what_is_slow(engine, config.compute)
    return Learner(
        config=config,
        engine=engine,
        reference=_reference(job, engine, device) if config.needs_reference else None,
        objective=load_objective(config),
        device=device,
        health=health,
    )


def _reference(job: TrainingJob, engine: DeepSpeedEngine, device: torch.device) -> nn.Module:
    """The SFT model, from which this training starts."""
    return (
        ReferenceWithoutAdapter(engine) if job.config.lora else reference_model(job.model, job.config.compute, device)
    )


@contextmanager
def _open_sampler(
    job: TrainingJob,
    learner: Learner,
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    state: TrainingState,
) -> Iterator[Sampler]:
    """The rollout engine, with the policy's weights, and the rewards."""
    config, device, pad = job.config, learner.device, tokenizer.pad_token_id
    problems = read_problems(job.data / "train.jsonl")
    with (
        open_engine(config, job.model, device, ends=ends, pad=pad, weights_of=sharded_weights) as engine,
        open_scorer(config.rewards, prompt=config.prompt_format, device=device) as scorer,
    ):
        prompts = tokenize_prompts(tokenizer, problems, config.prompt_format, config.rollout.max_prompt_tokens)
        policy = learner.engine.module
        if engine.samples_from_policy:
            engine.refresh(policy)
            check_sync = None
        else:
            with engine_deadline(config, "checking its rollout engine"):
                check_sync = check_engine(engine, policy, prompts[:2], config.rollout).after_sync
        yield Sampler(
            config=config,
            policy=learner.engine,
            engine=engine,
            tokenizer=tokenizer,
            ends=ends,
            scorer=scorer,
            problems=problems,
            prompts=prompts,
            order=_order(len(problems), config, state),
            check_sync=check_sync,
        )


def _group_source(
    job: TrainingJob,
    sampler: Sampler | None,
    tokenizer: PreTrainedTokenizerBase,
    state: TrainingState,
    device: torch.device,
) -> Callable[[int], GroupBatch]:
    """step → this rank's part of its batch, for all steps from `state.step` on, one after the other."""
    config = job.config
    groups = config.rl.prompts_per_step // config.compute.ranks
    if sampler is None or config.group_source == "dataset":
        rows = read_scored(job.data / "scored.jsonl")
        data = scored_data(rows, tokenizer, config, _order(len(rows), config, state), device)
        return lambda _step: data.batch(groups)
    if config.group_source == "sft-policy":
        sampled = {step: sampler.batch(groups, step) for step in range(state.step, config.rl.steps)}
        return lambda step: sampled[step]
    return lambda step: sampler.batch(groups, step)


def _order(size: int, config: RunConfig, state: TrainingState) -> Iterator[int]:
    """Which of `size` examples this rank sees next."""
    rank, ranks = dist.get_rank(), config.compute.ranks
    return example_stream(size, config.seed, rank, ranks, start=state.stream_start, taken=state.examples_taken)


def _heldout(job: TrainingJob, tokenizer: PreTrainedTokenizerBase) -> Heldout:
    config = job.config
    problems = read_problems(job.data / "heldout.jsonl", config.rl.heldout_problems)
    mine = problems[dist.get_rank() :: config.compute.ranks]
    return Heldout(mine, tokenize_prompts(tokenizer, mine, config.prompt_format, config.rollout.max_prompt_tokens))


if __name__ == "__main__":
    train(read_job(Path(sys.argv[1])))
