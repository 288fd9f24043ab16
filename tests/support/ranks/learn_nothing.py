"""Run by the ranks: a batch to learn from, one that must change nothing, and one to learn from again.

Each case leaves the checkpoints before/, after/ and end/ around them, rewound/ (before/, loaded at the end), resumed/
(from after/ to the end), without/ (the same without the batch in the middle, but with its move of the learning rate),
and rank 0's measurements.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM

from gift.algorithms import load_objective
from gift.config import load_profile
from gift.rollout.rollouts import Rollouts
from gift.training.checkpoint import load_checkpoint, save_checkpoint
from gift.training.diagnostics import batch_sums, step_metrics
from gift.training.engine import build_engine, gradient_norm, guard_updates, initialize_ranks
from gift.training.groups import GroupBatch
from gift.training.health import Health, HealthState
from gift.training.update import Learner, update

GROUPS, SIZE, LENGTH, EOS = 4, 4, 6, 0


def main(job: dict) -> None:
    for case in job["cases"]:
        run_case(case, Path(job["template"]), Path(case["output"]))


def run_case(case: dict, template: Path, output: Path) -> None:
    learner = new_learner(case, template)
    first, middle, third = batch(1), batch(2), batch(3)
    measured = [learn(learner, first)]
    leave(learner, output / "before")
    measured.append(learn_nothing(learner, middle, case["middle"]))
    leave(learner, output / "after")
    measured.append(learn(learner, third))
    leave(learner, output / "end")
    load_checkpoint(learner.engine, output / "before" / "ours", [dist.get_rank()], 2)
    leave(learner, output / "rewound")
    learner.engine.destroy()

    resumed = new_learner(case, template)
    load_checkpoint(resumed.engine, output / "after" / "ours", [dist.get_rank()], 2)
    learn(resumed, third)
    leave(resumed, output / "resumed")
    resumed.engine.destroy()

    other = new_learner(case, template)
    learn(other, first)
    for _ in range(other.config.rl.mini_batches):
        other.engine.lr_scheduler.step()
    learn(other, third)
    leave(other, output / "without")
    other.engine.destroy()
    if dist.get_rank() == 0:
        (output / "measured.json").write_text(json.dumps(measured))


def leave(learner: Learner, folder: Path) -> None:
    """What DeepSpeed itself writes, to compare with, and beside it what is gone on from."""
    learner.engine.save_checkpoint(str(folder), tag="step")
    save_checkpoint(learner.engine, folder / "ours")


def new_learner(case: dict, template: Path) -> Learner:
    config = load_profile(
        "local",
        (
            *("compute.ranks=2", "compute.device=cpu", f"rl.prompts_per_step={2 * GROUPS}"),
            *(f"rollout.group_size={SIZE}", "health.gradient_norm_factor=100", *case["overrides"]),
            "rl.optimizer={learning_rate: 0.01, weight_decay: 0.1, schedule: linear, final_fraction: 0.0}",
        ),
    )
    device = initialize_ranks(config.compute)
    policy, reference = (AutoModelForCausalLM.from_pretrained(template, dtype=torch.float32) for _ in range(2))
    engine = build_engine(policy, config.compute, config.rl.optimizer, 4 * config.rl.mini_batches)
    precision = torch.bfloat16 if config.compute.precision == "bf16" else torch.float32
    health = Health(config, HealthState())
    guard_updates(engine, health.refuses)
    return Learner(config, engine, reference.to(precision).eval(), load_objective(config), device, health)


def batch(seed: int) -> GroupBatch:
    """This rank's groups; those of the second rank never count, which still takes part in the updates of the first."""
    generator = torch.Generator().manual_seed(10 * seed + dist.get_rank())
    rows = GROUPS * SIZE
    made = GroupBatch(
        rollouts=Rollouts(
            torch.randint(1, 4099, (rows, 3), generator=generator),
            torch.ones(rows, 3, dtype=torch.bool),
            torch.randint(1, 4099, (rows, LENGTH), generator=generator),
            torch.ones(rows, LENGTH, dtype=torch.bool),
        ),
        rewards=torch.rand(GROUPS, SIZE, generator=generator),
        names=tuple(f"problem-{index}" for index in range(GROUPS)),
        sampled_groups=GROUPS,
        seconds=1.0,
    )
    return made if dist.get_rank() == 0 else without_signal(made)


def without_signal(groups: GroupBatch) -> GroupBatch:
    return replace(groups, rewards=torch.full_like(groups.rewards, 0.5))


def learn_nothing(learner: Learner, groups: GroupBatch, why: str) -> dict[str, float]:
    match why:
        case "without signal":
            return learn(learner, without_signal(groups))
        case "not finite":
            # Of one rank, so that the others have to hear of it.
            factor = torch.nan if dist.get_rank() == 0 else 1.0
            handle = next(learner.engine.module.parameters()).register_hook(lambda gradient: gradient * factor)
            metrics = learn(learner, groups)
            handle.remove()
        case "far too large":
            learner.health.state = HealthState(gradient_norms=(1e-6,) * 10)
            metrics = learn(learner, groups)
    learner.health.state = HealthState()
    return metrics


def learn(learner: Learner, groups: GroupBatch) -> dict[str, float]:
    """The step as `gift.training.rl` takes it."""
    learning_rate = learner.engine.get_lr()[0]
    sums = batch_sums(groups, EOS) | update(learner, groups)
    return step_metrics(
        sums,
        grad_norm=gradient_norm(learner.engine) if sums["updates"] else 0.0,
        learning_rate=learning_rate,
        seconds=1.0,
        earlier_tokens=0.0,
        device=learner.device,
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
