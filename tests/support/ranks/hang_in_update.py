"""Run by the ranks: the RL loop; in its second update the model of the last rank hangs, where others wait for it."""

import ctypes
import runpy
from typing import Any

import torch
import torch.distributed as dist

from gift.policy import log_probabilities

calls: list[str] = []


def main() -> None:
    score = log_probabilities.score_responses

    def score_or_hang(*arguments: Any, **named: Any) -> Any:
        calls.extend(["learn"] if torch.is_grad_enabled() else [])
        if len(calls) == 2 and dist.get_rank() == dist.get_world_size() - 1:
            ctypes.PyDLL(None).sleep(600)  # unlike time.sleep it keeps Python's lock
        return score(*arguments, **named)

    log_probabilities.score_responses = score_or_hang
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
