"""A process that runs the stage train_sft, and is killed by one of its ranks: see die_in_training.py."""

import json
import sys
from unittest import mock

from gift.execution.stage import run_stage
from gift.launch.one_node import launch_ranks
from gift.stages.train_sft import train_sft


def main() -> None:
    arguments = json.loads(sys.argv[1])
    with mock.patch(
        "gift.execution.train_once.launch_ranks",
        lambda _module, *rest, **watch: launch_ranks("die_in_training", *rest, **watch),
    ):
        run_stage(train_sft, **arguments)


if __name__ == "__main__":
    main()
