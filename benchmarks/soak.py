"""Does a long training stay as large as it is? Memory, file handles and disk of real ranks, over many steps.

    python benchmarks/soak.py [--steps 500] [--seconds 1] [--set key=value …]

Trains a tiny policy with two ranks on the CPU, beside its own S3 and MLflow servers, with rewards, held-out problems
and checkpoints on the way. Every second it prints memory and open files of each rank with its workers, the disk below
its temporary folder without the servers' own, and the store's checkpoints. At the end it compares the second fifth of
these with the last one; status 1 says that something has grown.

Left out: GPUs, vLLM, several nodes, and the servers, which keep what they are told.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from tiny_jobs import Job, own_reward, write_inputs

from gift.storage import list_objects
from pipelines.cli.session import session_services
from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

MIB = 2**20
MEMORY_GROWTH = 0.02
"""Of the memory; allocators take more for a while."""
DISK_GROWTH = 1.0
"""MiB; a checkpoint is about as large."""
MEASURED = ("memory, MiB", "open files", "disk, MiB", "stored, MiB")
FEWEST_SAMPLES = 25


@dataclass(frozen=True)
class Sample:
    """One look at the training."""

    seconds: float
    memory: tuple[float, ...]
    """MiB of each rank with the workers that it has started."""
    files: tuple[int, ...]
    """Open files and sockets of the same."""
    disk: float
    """MiB."""
    stored: float
    """MiB of checkpoints in the store."""


def main() -> None:
    """Train, print, and say what has grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two looks")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    arguments = parser.parse_args()
    settings = (
        *(f"rl.steps={arguments.steps}", "rl.checkpoint_every=10", "rl.heldout_every=10"),
        *("rl.optimizer={learning_rate: 1.0e-4}", own_reward("digits"), *arguments.settings),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "work")
        folder.mkdir()
        tempfile.tempdir = str(folder)  # what the launcher leaves is counted, too
        os.environ["TMPDIR"] = str(folder)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
        s3_port, mlflow_port = free_ports(HOST, 2)
        with session_services(Path(scratch, "state"), s3_port, mlflow_port):
            started = time.monotonic()
            samples = _watch(Job(write_inputs(folder, *settings), *settings), folder, arguments.seconds)
    print(f"{arguments.steps} steps in {time.monotonic() - started:.0f} s, {len(samples)} samples")
    sys.exit(0 if _is_flat(samples) else 1)


def _watch(job: Job, folder: Path, pause: float) -> list[Sample]:
    training = threading.Thread(target=job.attempt, args=("gift.training.rl", folder / "attempt"))
    training.start()
    started = time.monotonic()
    samples: list[Sample] = []
    print(f"{'seconds':>8}  {'memory of each rank, MiB':28}{'open files':14}{'disk, MiB':>10}{'stored, MiB':>13}")
    while training.is_alive():
        training.join(pause)
        ranks = _ranks()
        if len(ranks) < job.config.compute.ranks:
            continue  # not yet, or no longer
        with contextlib.suppress(psutil.NoSuchProcess):
            samples.append(_look(ranks, folder, job.resume_uri, time.monotonic() - started))
            _print(samples[-1])
    return samples


def _ranks() -> list[psutil.Process]:
    """The processes that the parent of the ranks has forked."""
    children = psutil.Process().children(recursive=True)
    parents = {child.pid for child in children if "gift.launch.rank_parent" in _command(child)}
    ranks = [child for child in children if child.ppid() in parents and "gift.launch.rank_parent" in _command(child)]
    return sorted(ranks, key=lambda rank: rank.pid)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # ended since it was listed
        return []


def _look(ranks: Sequence[psutil.Process], folder: Path, resume_uri: str, seconds: float) -> Sample:
    families = [(rank, *rank.children(recursive=True)) for rank in ranks]
    return Sample(
        seconds=seconds,
        memory=tuple(sum(member.memory_info().rss for member in family) / MIB for family in families),
        files=tuple(sum(member.num_fds() for member in family) for family in families),
        disk=_disk(folder) / MIB,
        stored=sum(stored.size for stored in list_objects(resume_uri).objects) / MIB,
    )


def _disk(folder: Path) -> int:
    """Bytes of all files below; some go while they are counted."""
    sizes = 0
    for path in folder.rglob("*"):
        try:
            sizes += path.lstat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return sizes


def _print(sample: Sample) -> None:
    memory, files = "  ".join(f"{size:8.1f}" for size in sample.memory), "  ".join(map(str, sample.files))
    print(f"{sample.seconds:8.0f}  {memory:28}{files:14}{sample.disk:10.1f}{sample.stored:13.1f}", flush=True)


def _is_flat(samples: Sequence[Sample]) -> bool:
    """Compare the least of the second fifth of the samples and of the last: a leak raises the floor."""
    if len(samples) < FEWEST_SAMPLES:
        print(f"too few samples to compare; {FEWEST_SAMPLES} are needed")
        return False
    fifth = len(samples) // 5
    rows = [(sum(at.memory), sum(at.files), at.disk, at.stored) for at in samples]
    early, late = (
        [min(column) for column in zip(*part, strict=True)] for part in (rows[fifth:][:fifth], rows[-fifth:])
    )
    allowed = (MEMORY_GROWTH * early[0], 0, DISK_GROWTH, DISK_GROWTH)
    flat = True
    for name, before, after, growth in zip(MEASURED, early, late, allowed, strict=True):
        grown = after > before + growth
        print(f"{name:12}{before:10.1f} in the second fifth{after:10.1f} in the last  {'GROWN' if grown else 'flat'}")
        flat = flat and not grown
    return flat


if __name__ == "__main__":
    main()
