"""Background processes that outlive us: started in their own session, recognised later, stopped with their children.

A process is recognised by its pid and its start time, because pids are reused.
Left out on purpose: restarting a process that died; whoever owns the record decides what a death means.
"""

import os
import random
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil
from pydantic import BaseModel

from gift.errors import GiftError

STOP_SECONDS = 15.0
# The kernel's boot time may be rounded differently between two reads; pids are not reused within a second.
START_TOLERANCE_SECONDS = 1.5


class ProcessRecord(BaseModel):
    """One process we started; `seconds_after_boot` is its start time, on a clock that nobody sets."""

    pid: int
    seconds_after_boot: float


def spawn(command: list[str], folder: Path, environment: dict[str, str], log: Path) -> ProcessRecord:
    """Start `command` in `folder`, with its output in `log` (truncated), out of reach of our terminal's Ctrl-C."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the commands are our own, and no shell reads them
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return record(psutil.Process(process.pid))


def record(process: psutil.Process) -> ProcessRecord:
    return ProcessRecord(pid=process.pid, seconds_after_boot=process.create_time() - psutil.boot_time())


def living(recorded: ProcessRecord | None) -> psutil.Process | None:
    """The recorded process, or None when it ended (a zombie has ended) or its pid belongs to another one now."""
    if recorded is None:
        return None
    try:
        process = psutil.Process(recorded.pid)
        drift = abs(record(process).seconds_after_boot - recorded.seconds_after_boot)
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if drift < START_TOLERANCE_SECONDS and not ended else None


def with_children(recorded: Iterable[ProcessRecord | None]) -> list[psutil.Process]:
    """The recorded processes that live, and all their living descendants."""
    processes: dict[int, psutil.Process] = {}
    for parent in filter(None, map(living, recorded)):
        try:
            family = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:  # it ended between the two questions
            continue
        processes.update((process.pid, process) for process in family)
    return list(processes.values())


def stop(processes: list[psutil.Process], patience: float = STOP_SECONDS) -> None:
    """SIGTERM, wait, SIGKILL for those that are left; psutil refuses to signal a pid that was reused meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=patience)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def unix_sockets(processes: Iterable[psutil.Process]) -> set[Path]:
    """Absolute paths of the Unix sockets that the processes have open."""
    paths: set[Path] = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="unix")
        except psutil.NoSuchProcess:
            continue
        paths.update(Path(str(connection.laddr)) for connection in connections)
    return {path for path in paths if path.is_absolute()}  # a relative one means a folder that is not ours


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log file, on one line."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return " | ".join([line.strip() for line in lines if line.strip()][-count:]) or "(nothing)"


def port_fault(host: str, port: int) -> str | None:
    """Why nothing can listen on `host:port` now, in the system's words; None when it is free."""
    with socket.socket() as probe:
        # as servers do: a port whose last connections are still closing is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
    return None


def free_ports(host: str, count: int) -> list[int]:
    """`count` different ports that were free a moment ago, none of which the system gives to a client's connection.

    A port of the system's own choice (`bind` to 0) is one of those: before a server that takes a second to start
    listens on it, some connection may have it. Two processes that ask at once meet with a chance of one in thousands.

    Raises:
        GiftError: fewer are free.
    """
    free = list(islice((port for port in _ports_of_servers() if port_fault(host, port) is None), count))
    if len(free) < count:
        raise GiftError(f"{host} has {len(free)} free ports, and {count} are needed: end what listens on the others")
    return free


def _ports_of_servers() -> list[int]:
    """The ports below the clients' range, in random order; all unprivileged ones where that range leaves too few."""
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = range(10_000, first_of_clients) if first_of_clients >= 12_000 else range(1_024, 65_536)
    # the system's randomness, as processes with one seed would all begin with the same port
    return random.SystemRandom().sample(ports, len(ports))
