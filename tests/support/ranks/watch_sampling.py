"""Run by the ranks: the RL loop with an engine that all ranks must call together, as ranks that share a vLLM must.

Rank 0 leaves in `calls`, beside the job's file, what was asked of the engine, one a line, `begin` for each response
that the rewards were told of early, `score` for each batch of them, and `step` for each step that was reported.
"""

import runpy
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from gift.rewards import Scorer
from gift.rollout.transformers import TransformersEngine
from gift.training.reports import Reports

PATIENCE = timedelta(seconds=60)


def watch(owner: type, name: str, word: str, before: Callable[[], None] = lambda: None) -> None:
    method = getattr(owner, name)
    if hasattr(method, "is_watched"):
        return  # since the job before, in the same rank

    def watched(*arguments: Any, **named: Any) -> Any:
        before()
        if dist.get_rank() == 0:
            with Path(sys.argv[1]).with_name("calls").open("a") as file:
                file.write(f"{word}\n")
        return method(*arguments, **named)

    watched.is_watched = True
    setattr(owner, name, watched)


def all_ranks_are_here() -> None:
    """Fails where a rank stays away, instead of waiting for half an hour."""
    dist.monitored_barrier(timeout=PATIENCE)


def main() -> None:
    watch(TransformersEngine, "__init__", "open")
    watch(TransformersEngine, "close", "close")
    for name in ("refresh", "sample", "rest"):
        watch(TransformersEngine, name, name, all_ranks_are_here)
    for name in ("begin", "score"):
        watch(Scorer, name, name)
    watch(Reports, "report", "step")
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
