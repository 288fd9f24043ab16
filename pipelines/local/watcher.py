"""A process that waits for the end of a run on this machine: `python -m pipelines.local.watcher <folder of the run>`.

    run ends well ──> says so, and the watcher ends
    run is killed ──> the kernel closes the pipe, and the watcher cleans up (`dead_runs`)

No stage can end with the run by itself: kfp starts a shell between them. Until it has to work, it loads nothing.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DONE = b"done"


@contextmanager
def watched_over(folder: Path) -> Iterator[None]:
    """Inside, the run in `folder` is this process's, and is cleaned up after if this process is killed."""
    with (folder / "run.log").open("ab") as log:
        watcher = subprocess.Popen(  # noqa: S603 - our own program, and no shell
            [sys.executable, "-m", "pipelines.local.watcher", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # out of reach of what ends this process's group or terminal
        )
    try:
        yield
    finally:
        watcher.communicate(DONE)


def main() -> None:
    """What can't be put away is a line of the run's log; the next run tries again."""
    if sys.stdin.buffer.read() == DONE:
        return
    from gift.errors import GiftError
    from pipelines.local.dead_runs import clean_dead_run

    try:
        clean_dead_run(Path(sys.argv[1]))
    except GiftError as error:
        print(f"error: this run was killed, and not all that it left is put away: {error}", flush=True)


if __name__ == "__main__":
    main()
