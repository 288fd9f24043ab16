"""This trainer's side: `gift.training.update.update` on the batch, as a rank of a run calls it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gift.algorithms import load_objective
from gift.bench.cases import StepCase, read_step_case
from gift.bench.gradients import GradientSum
from gift.bench.inputs import END, POLICY, REFERENCE, read_step_batch
from gift.bench.objective import ADAM_BETA1, ADAM_BETA2, CLIPPING, KL_COEFFICIENT, LEARNING_RATE
from gift.bench.turns import Turns
from gift.config import RunConfig, load_profile
from gift.policy.log_probabilities import reference_model, trainable_model
from gift.rollout.transformers import TransformersEngine
from gift.training.engine import build_engine, guard_updates, initialize_ranks
from gift.training.groups import GroupBatch
from gift.training.health import Health, HealthState
from gift.training.update import Learner, update

STEPS = 1000
"""More than are ever measured; the learning rate is the same in all of them."""


@dataclass(frozen=True)
class OurUpdate:
    """A trainer that is ready to take steps on one batch."""

    policy: nn.Module
    step: Callable[[], object]
    gradient: Callable[[], dict[str, Tensor]]
    """Of the first step, by the names of the model's parameters."""


def take_our_turns(folder: Path, turns: Turns) -> None:
    """Steps of this trainer on what `write_step_inputs` wrote, as long as somebody asks."""
    case = read_step_case(folder)
    batch, config = read_step_batch(folder, torch.device(case.device)), our_config(case)
    ours = our_update(folder, batch, config)
    sampler = TransformersEngine(config.rollout, ends=[END], pad=END)
    prompts = batch.rollouts.prompt_ids[:: case.group_size].tolist()
    while turns.begin():
        if case.sampled:
            sampler.refresh(ours.policy)
            sampler.sample(prompts, case.group_size, seed=0)
        ours.step()
        turns.end(ours.gradient)


def our_config(case: StepCase, settings: Sequence[str] = ()) -> RunConfig:
    """The run whose step this is: one rank and thread, and the objective that both sides take.

    Args:
        settings: `key=value` besides.
    """
    return load_profile(
        "local",
        (
            f"model.context_length={case.prompt_tokens + case.response_tokens}",
            "evaluation.benchmarks=[{task: heldout, max_new_tokens: 1}]",  # none is run, and the profile's may not fit
            f"compute={{ranks: 1, threads_per_rank: 1, device: {case.device}, precision: {case.precision}}}",
            f"rollout.group_size={case.group_size}",
            f"rollout.max_prompt_tokens={case.prompt_tokens}",
            f"rollout.max_new_tokens={case.response_tokens}",
            "algorithm=grpo",
            f"grpo={{kl_coefficient: {KL_COEFFICIENT}, normalise_std: false}}",
            f"rl.steps={STEPS}",
            f"rl.prompts_per_step={case.prompts}",
            f"rl.optimizer={{learning_rate: {LEARNING_RATE}, beta1: {ADAM_BETA1}, beta2: {ADAM_BETA2}, "
            f"gradient_clipping: {CLIPPING}}}",
            *settings,
        ),
    )


def our_update(models: Path, batch: GroupBatch, config: RunConfig) -> OurUpdate:
    """Policy, reference, objective and AdamW on the only rank; all that this room knows of `gift.training`."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    device = initialize_ranks(config.compute)
    engine = build_engine(
        trainable_model(models / POLICY, config.compute, device),
        config.compute,
        config.rl.optimizer,
        total_steps=STEPS,
    )
    health = Health(config, HealthState())
    guard_updates(engine, health.refuses)
    reference = reference_model(models / REFERENCE, config.compute, device)
    learner = Learner(config, engine, reference, load_objective(config), device, health)
    return OurUpdate(
        policy=engine.module, step=lambda: update(learner, batch), gradient=GradientSum(engine.module).take
    )
