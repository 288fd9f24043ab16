"""Run by the ranks: what the job says of each, with a deadline of half a second each time."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from gift.launch.deadline import deadline, pass_by


def main() -> None:
    work = json.loads(Path(sys.argv[1]).read_text())[os.environ["RANK"]]
    with deadline("counting", 30, "count faster"):
        time.sleep(0.05)
    if work == "dawdles":
        time.sleep(60)
    pass_by()
    with deadline("resting", 0.5 if work in ("stops", "sleeps") else 30, "rest less"):
        if work == "stops":
            os.kill(os.getpid(), signal.SIGSTOP)
        if work == "sleeps":
            time.sleep(60)
    time.sleep(60)  # outside of every deadline


if __name__ == "__main__":
    main()
