"""Run by the ranks: each writes its pid; rank 1 ends as the job says, and rank 0 fails when rank 1 has gone away."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from gift.errors import GiftError

print("imported")  # waits in a buffer where stdout is no terminal


def main(job: dict) -> None:
    rank = os.environ["RANK"]
    print(f"rank {rank} of {os.environ['WORLD_SIZE']} has {os.environ['OMP_NUM_THREADS']} threads", flush=True)
    print(f"rank {rank} warns", file=sys.stderr, flush=True)
    Path(job["pids"], rank).write_text(str(os.getpid()))
    print(f"drawn: {random.random()} {np.random.random()}", flush=True)
    if job["end"] == "well":
        return
    # Waits until both have opened it. Rank 1 never closes it: like a socket, it breaks when the process is gone.
    connection = Path(job["connection"]).open("r" if rank == "0" else "w")  # noqa: SIM115
    if rank == "1":
        leave(job["end"])
    connection.read()  # until rank 1 is gone
    raise ConnectionError("rank 1 closed the connection")


def leave(end: str) -> None:
    match end:
        case "gift error":
            raise GiftError("prompt 7 is longer than the context; shorten it")
        case "exception":
            raise ValueError("bad\n  shape")
        case "exit":
            sys.exit("enough")
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
