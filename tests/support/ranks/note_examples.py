"""Run by the ranks: the RL loop, with a line in EXAMPLES_FILE of each example that a rank takes, and in which step."""

import json
import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch.distributed as dist

from gift.training import order
from gift.training.sampling import Sampler

steps: list[int] = []


def main() -> None:
    stream, batch = order.example_stream, Sampler.batch

    def noted_stream(*arguments: Any, **named: Any) -> Iterator[int]:
        for index in stream(*arguments, **named):
            note = {"ranks": dist.get_world_size(), "rank": dist.get_rank(), "step": steps[-1], "example": index}
            with Path(os.environ["EXAMPLES_FILE"]).open("a") as file:
                file.write(json.dumps(note) + "\n")
            yield index

    def noted_batch(sampler: Sampler, groups: int, step: int) -> Any:
        steps.append(step)
        return batch(sampler, groups, step)

    order.example_stream, Sampler.batch = noted_stream, noted_batch
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
