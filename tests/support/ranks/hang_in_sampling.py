"""Run by the ranks: the RL loop; in the second step the engine of the last rank hangs, and all its threads with it."""

import ctypes
import runpy
from typing import Any

import torch.distributed as dist

from gift.rollout.transformers import TransformersEngine

calls: list[str] = []


def main() -> None:
    sample = TransformersEngine.sample

    def sample_or_hang(*arguments: Any, **named: Any) -> Any:
        calls.append("sample")
        if len(calls) == 2 and dist.get_rank() == dist.get_world_size() - 1:
            ctypes.PyDLL(None).sleep(600)  # unlike time.sleep it keeps Python's lock
        return sample(*arguments, **named)

    TransformersEngine.sample = sample_or_hang
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
