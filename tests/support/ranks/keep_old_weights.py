"""Run by the ranks: the RL loop with an engine that has a copy of the policy, and keeps it from the second step on."""

import runpy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gift.policy.log_probabilities import response_log_probabilities
from gift.rollout.rollouts import Rollouts
from gift.rollout.transformers import TransformersEngine

SYNCS = 3 + 1
"""Those of the check at start-up, and that of the first step."""
synced: list[nn.Module] = []


def main() -> None:
    refresh, sample = TransformersEngine.refresh, TransformersEngine.sample

    def refresh_at_first(engine: TransformersEngine, policy: Any) -> None:
        if len(synced) < SYNCS:
            copy = type(policy)(policy.config).eval()
            copy.load_state_dict(policy.state_dict())
            synced.append(copy)
            refresh(engine, copy)

    @torch.no_grad()
    def sample_and_tell(engine: TransformersEngine, *arguments: Any, **named: Any) -> Rollouts:
        rollouts = sample(engine, *arguments, **named)
        temperature = engine._config.temperature
        return replace(rollouts, engine_log_probabilities=response_log_probabilities(synced[-1], rollouts, temperature))

    TransformersEngine.samples_from_policy = False
    TransformersEngine.refresh, TransformersEngine.sample = refresh_at_first, sample_and_tell
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
