"""The process of one attempt: `python -m gift.fault_injection.attempt <file>` launches the ranks and waits for them.

It is one of those that are killed, and must be no other's.
"""

import sys
from pathlib import Path

from gift.errors import GiftError
from gift.fault_injection.kill import read_attempt
from gift.launch.one_node import launch_ranks
from gift.launch.rank_job import read_job


def main() -> None:
    """Exit status 1 after one line about what failed."""
    file = Path(sys.argv[1])
    try:
        compute = read_job(read_attempt(file).job).config.compute
        launch_ranks("gift.fault_injection.killed_rank", file, compute)
    except GiftError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
