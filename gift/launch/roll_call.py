"""The nodes of a training job keep an eye on each other: who is here, who is lost, and who failed first and why.

    node 1 ──┐  here, alive, alive, …, done or failed
    node 2 ──┴────────────────────────────────────────> node 0 ── alive, alive, …, done or failed ──> each of them

The parent of ranks knows those of its own machine only. Ranks that wait for those of a machine that is cut off would
wait for half an hour, and when one rank fails, all others fail with a broken connection: somebody must hear of all of
them to tell the cause from its consequences. Messages are lines of JSON on one TCP connection per node, beside the port
where the ranks meet.

Left out on purpose: encryption and passwords, as in torch's own rendezvous and its collectives; the nodes of a job
belong into a network of their own.
"""

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import psutil

from gift.errors import LONGEST_PRINTED, GiftError
from gift.launch.node_link import NodeLink

MEET_SECONDS = 20 * 60
"""How long to wait until all nodes are here: one may still be pulling its image."""
SETTLE_SECONDS = 15
"""How long after a failure the other nodes may take to tell of theirs."""
CONSEQUENCES = (
    re.compile(r"was told to stop"),  # when one node fails, Kubernetes stops the others
    re.compile(
        r"connection (was )?(closed|reset|refused)|broken pipe|by peer|nccl(Remote|System)Error|timed? ?out\b", re.I
    ),
)
"""Reasons that follow from others, the likeliest to be the first one first."""


class OtherNodeError(GiftError):
    """Another node is lost or has failed; the text names it."""


@dataclass(frozen=True)
class Seat:
    """Where a node has its place in the roll call."""

    node: int
    nodes: int
    address: str
    """Name or IP address of node 0."""
    port: int
    """Of the roll call; not where the ranks meet."""
    job: str
    """Identity of the job; no node of another one is let in."""


class RollCall:
    """One node's view of the others: node 0 has a link to each, any other node one to node 0."""

    def __init__(self, seat: Seat, links: Sequence[NodeLink]) -> None:
        self._seat = seat
        self._links = links
        self.interface = _interface_of(links[0].own_address)

    @classmethod
    def meet(cls, seat: Seat, seconds: float = MEET_SECONDS) -> Self:
        """Wait until all nodes are here.

        Raises:
            GiftError: some did not come within `seconds`, or node 0's address is of no use.
        """
        deadline = time.monotonic() + seconds
        return cls(seat, _receive_others(seat, deadline) if seat.node == 0 else [_call_first(seat, deadline)])

    def check(self) -> None:
        """Raises: OtherNodeError: another node is lost or has failed."""
        for link in self._links:
            if link.fault is not None:
                raise OtherNodeError(link.fault)

    def done(self) -> None:
        """Tell the others that this node's ranks have ended well; from now on they may leave without a word."""
        for link in self._links:
            link.send({"done": True})

    def first_cause(self, error: GiftError) -> str:
        """What to report for a job that fails here with `error`; the others are told the same.

        Node 0 decides, once it has heard of all or `SETTLE_SECONDS` have passed.
        """
        here = f"node {self._seat.node} of {self._seat.nodes}: "
        cause = str(error) if isinstance(error, OtherNodeError) else here + str(error)
        if self._seat.node != 0:
            self._tell(cause)
            self._wait_for_others(2 * SETTLE_SECONDS)
            return self._links[0].fault or cause
        self._wait_for_others(SETTLE_SECONDS)
        faults = [cause, *(link.fault for link in self._links if link.fault is not None)]
        cause = min(faults, key=_distance_from_cause)
        self._tell(cause)
        return cause

    def close(self) -> None:
        for link in self._links:
            link.close()

    def _tell(self, cause: str) -> None:
        for link in self._links:
            link.send({"failed": cause[:LONGEST_PRINTED]})  # a longer line than a link takes would say nothing

    def _wait_for_others(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(link.fault or link.done for link in self._links):
            time.sleep(0.1)


def _distance_from_cause(fault: str) -> int:
    return next((place for place, pattern in enumerate(CONSEQUENCES, start=1) if pattern.search(fault)), 0)


def _receive_others(seat: Seat, deadline: float) -> list[NodeLink]:
    links: dict[int, NodeLink] = {}
    with _listening_socket(seat, deadline) as server:
        while len(links) < seat.nodes - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, address = server.accept()
            except TimeoutError:
                missing = sorted(set(range(1, seat.nodes)) - links.keys())
                names = ", ".join(map(str, missing))
                raise GiftError(
                    f"node {names} of {seat.nodes} did not come to the roll call at {seat.address}:{seat.port}; "
                    "see whether its pod is pending, and whether pods of a job may reach each other"
                ) from None
            link = NodeLink(connection, address[0])
            connection.settimeout(5)
            node = _introduction(link, seat)
            if node is None or node in links:
                link.close()  # a port scan, or a node of another job
            else:
                link.other = f"node {node} of {seat.nodes} ({address[0]})"
                links[node] = link
    for link in links.values():
        link.send({"all_here": True})
        link.start()
    return list(links.values())


def _call_first(seat: Seat, deadline: float) -> NodeLink:
    while True:
        try:
            connection = socket.create_connection((seat.address, seat.port), timeout=5)
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            link = NodeLink(connection, f"node 0 of {seat.nodes} ({connection.getpeername()[0]})")
            link.send({"node": seat.node, "job": seat.job})
            if link.receive() == {"all_here": True}:
                link.start()
                return link
            reason = "it did not answer as expected"
            link.close()
        except OSError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise GiftError(f"node 0 of {seat.nodes} did not answer at {seat.address}:{seat.port} ({reason})")
        time.sleep(0.5)


def _listening_socket(seat: Seat, deadline: float) -> socket.socket:
    """On the interface of node 0's own address only. Its name may take a moment to be known."""
    while True:
        try:
            family, _, _, _, address = socket.getaddrinfo(seat.address, seat.port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address[:2], family=family, backlog=seat.nodes)
        except OSError as error:
            if time.monotonic() > deadline:
                raise GiftError(f"node 0 can't listen at {seat.address}:{seat.port}: {error}") from error
            time.sleep(0.5)


def _introduction(link: NodeLink, seat: Seat) -> int | None:
    """The number of a node of our job, or None for anybody else."""
    try:
        message: Any = link.receive()
    except OSError:
        return None
    match message:
        case {"node": int(node), "job": seat.job} if 0 < node < seat.nodes:
            return node
    return None


def _interface_of(address: str) -> str:
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == address for entry in entries):
            return str(name)
    raise GiftError(f"no network interface of this node has the address {address}, which leads to the other nodes")
