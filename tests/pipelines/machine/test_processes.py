"""Ports for servers that are still to start."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gift.errors import GiftError
from pipelines.machine import processes
from pipelines.machine.processes import free_ports

HOST = "127.0.0.1"


def test_no_connection_is_given_a_port_that_was_chosen_for_a_server() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    ports = free_ports(HOST, 50)

    assert len(set(ports)) == 50
    assert not [port for port in ports if first <= port <= last]


def test_processes_with_one_seed_choose_different_ports() -> None:
    random.seed(7)
    ports = free_ports(HOST, 20)
    random.seed(7)

    assert free_ports(HOST, 20) != ports


def test_ports_that_somebody_listens_on_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        taken = free_ports(HOST, 3)
        for port in taken[:2]:
            stack.enter_context(socket.create_server((HOST, port)))
        monkeypatch.setattr(processes, "_ports_of_servers", lambda: taken)

        assert free_ports(HOST, 1) == taken[2:]
        with pytest.raises(GiftError, match=r"127\.0\.0\.1 has 1 free ports, and 2 are needed"):
            free_ports(HOST, 2)
