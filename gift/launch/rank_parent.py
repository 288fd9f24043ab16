"""The process that the ranks of one node are forked from: `python -m gift.launch.rank_parent <module> <job> <folder>`.

    imports once what every rank trains with ── fork ──> rank_program × R
    keeps the store where the ranks of all nodes meet (on node 0), waits for its own, ends the others when one fails
    or is still at work on what it should have finished (`gift.launch.deadline`), even if it hangs in native code
    hands SIGTERM on to them, which may take their time then (`gift.launch.notice`); SIGINT ends them at once

The store listens on one address: loopback, or that of node 0 among several nodes. It holds bytes and runs none of them.
Forking is safe for GPUs, as nothing here touches one: whether there are any, torch and DeepSpeed ask NVML.

Left out on purpose: restarts (the pipeline retries the stage, which resumes from its own checkpoint).
"""

import gc
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gift.host.end_with_parent import end_with_parent
from gift.host.lean_imports import lean_imports
from gift.launch.deadline import RECORD, make_records, overdue, passed, record_of
from gift.launch.notice import TOLD_TO_STOP
from gift.launch.one_node import REASON_FILE
from gift.launch.rank_program import TELL_WHERE, leave_reason, run_rank
from gift.models.device import choose_device
from gift.models.host_memory import use_large_pages
from gift.progress import put_times_on_lines

TRAINS_WITH = ("transformers.generation.utils", "deepspeed")
MUON = "deepspeed.runtime.zero.muon.muon_optimizer"
"""What DeepSpeed imports when it builds an engine, to see that it is not what we use."""
LOOK_SECONDS = 0.1
TELL_SECONDS = 0.5
SETTLE_SECONDS = 0.5
"""A rank that is killed takes time to die; another may have failed meanwhile, as it lost the connection."""
DEADLINES = "deadlines"
"""The file of the ranks' records."""


def main() -> None:
    """Exit status 1 if a rank failed; `<folder>/reason.txt` then says why, in one line."""
    module, job_file, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    put_times_on_lines()
    use_large_pages()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    import_once(module)
    server = _listen() if os.environ["GROUP_RANK"] == "0" else None
    ranks = _fork_ranks(module, job_file, folder)
    store = _keep_store(server) if server is not None else None
    exit_codes, late = _wait(ranks, folder / DEADLINES)
    del store
    if late is not None:
        leave_reason(folder / REASON_FILE, late)
        sys.exit(1)
    if any(exit_codes.values()):
        leave_reason(folder / REASON_FILE, _reason(module, exit_codes, folder))
        sys.exit(1)


def import_once(module: str) -> None:
    """What the ranks share. Each runs `module` itself as `__main__`; here it only brings along what it imports."""
    # What "auto" means. DeepSpeed reads it when it is imported; left alone it would also pick other devices.
    os.environ.setdefault("DS_ACCELERATOR", choose_device("auto").type)
    gc.disable()  # until all of it is frozen
    with lean_imports():
        for name in TRAINS_WITH:
            importlib.import_module(name)
        with _nothing_compiled():
            importlib.import_module(MUON)
    importlib.import_module(module)
    del sys.modules[module]
    gc.freeze()  # the ranks share its memory as long as nobody writes to it, as the collector would
    gc.enable()


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Decorating a function, torch's compiler would be imported: 1.2 s of processor time and 40 MB for every rank."""
    former = torch.compile
    vars(torch)["compile"] = lambda function: function
    try:
        yield
    finally:
        vars(torch)["compile"] = former


def _listen() -> socket.socket:
    """Where the ranks will meet, from before they exist: MASTER_PORT may be 0, and becomes what was free."""
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    family, _, _, _, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    server = socket.create_server(found[:2], family=family, backlog=int(os.environ["WORLD_SIZE"]))
    os.environ["MASTER_PORT"] = str(server.getsockname()[1])
    return server


def _keep_store(server: socket.socket) -> TCPStore:
    """Only after the fork, as it starts a thread."""
    address, port = server.getsockname()[:2]
    return TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=server.detach())


def _fork_ranks(module: str, job_file: str, folder: Path) -> dict[int, int]:
    """Process → rank."""
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    first = here * int(os.environ["GROUP_RANK"])
    stay_with_us = end_with_parent(os.getpid())
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # torch's word for: the parent of the ranks keeps the store
    ranks = {}
    make_records(folder / DEADLINES, here)
    sys.stdout.flush()  # else each rank would print it once more
    for local_rank in range(here):
        process = os.fork()
        if process == 0:
            stay_with_us()
            os.environ |= {"RANK": str(first + local_rank), "LOCAL_RANK": str(local_rank)}
            os.environ[RECORD] = record_of(folder / DEADLINES, local_rank)
            run_rank(module, job_file, folder / f"rank-{first + local_rank}.txt")
        ranks[process] = first + local_rank
    return ranks


def _wait(ranks: Mapping[int, int], deadlines: Path) -> tuple[dict[int, int], str | None]:
    """Rank → exit code, negative for a signal, of those that ended by themselves; and what to say if one was late.

    When one fails or is late, the others are ended, as they wait for it in vain.
    """
    running = dict(ranks)
    codes: dict[int, int] = {}
    late = None
    # For good: when the ranks have ended, their reason is still to be told.
    signal.signal(signal.SIGTERM, lambda *_: _tell(list(running)))
    try:
        while running and not any(codes.values()) and late is None:
            if not _note_ended(-1, running, codes):
                late = _late(running, min(ranks.values()), deadlines)
                time.sleep(LOOK_SECONDS)
    finally:
        if any(codes.values()):
            time.sleep(SETTLE_SECONDS)
        for process in list(running):
            _note_ended(process, running, codes)
        for process in running:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    return codes, late


def _tell(processes: Sequence[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def _note_ended(process: int, running: dict[int, int], codes: dict[int, int]) -> bool:
    """Whether it, or for -1 one of all, has ended; then it is moved from `running` to `codes`."""
    ended, status = os.waitpid(process, os.WNOHANG)
    if ended:
        codes[running.pop(ended)] = os.waitstatus_to_exitcode(status)
    return ended != 0


def _late(ranks: Mapping[int, int], first: int, deadlines: Path) -> str | None:
    """One sentence on those of this node's ranks, the lowest of which is `first`, that are late, or None.

    Who misses a deadline may only be waiting for one that has not come as far, which is the late one then. Both print
    where they are.
    """
    missed = {rank: found for rank in ranks.values() if (found := overdue(deadlines, rank - first))}
    if not missed:
        return None
    come = {rank: passed(deadlines, rank - first) for rank in ranks.values()}
    waited_for = [rank for rank in come if come[rank] < max(come[one] for one in missed)]
    for process, rank in ranks.items():
        if rank in missed or rank in waited_for:
            os.kill(process, TELL_WHERE)
            time.sleep(TELL_SECONDS)  # one after the other, as two at once write into each other's lines
    waiting = missed.keys() - waited_for
    what, hint, seconds = missed[min(waiting)]
    sentence = f"{_named(waiting)} still {what} after {seconds / 60:.3g} minutes; {hint}"
    return f"{_named(waited_for)} late: {sentence}" if waited_for else sentence


def _named(ranks: Iterable[int]) -> str:
    names = ", ".join(map(str, sorted(ranks)))
    return f"rank {names} is" if names.isdigit() else f"ranks {names} are"


def _reason(module: str, exit_codes: Mapping[int, int], folder: Path) -> str:
    """One sentence on the first failure: a killed rank, else the first reason that a rank left.

    A rank that dies breaks the connections of the others, so the order of the files decides, not the rank.
    """
    for rank, code in exit_codes.items():
        if code == -signal.SIGTERM:
            return f"{module}: {TOLD_TO_STOP} where there was nothing to store yet"
        if code < 0:
            name = signal.Signals(-code).name
            hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
            return f"{module}: rank {rank} was killed by {name} (exit code {code}){hint}"
    reasons = sorted(folder.glob("rank-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    if reasons:
        return reasons[0].read_text(encoding="utf-8")
    rank, code = next((rank, code) for rank, code in exit_codes.items() if code != 0)
    return f"{module}: rank {rank} ended with exit code {code} and gave no reason; its last output may tell"


if __name__ == "__main__":
    main()
