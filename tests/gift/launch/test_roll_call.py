"""What the nodes of a job learn of each other. Each node is an object here; they talk over real connections."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from gift.errors import GiftError
from gift.launch.roll_call import OtherNodeError, RollCall, Seat
from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

CLOSED = GiftError("gift.training.rl: rank 0 failed (exit code 1): RuntimeError: Connection closed by peer [10.0.0.7]")


@pytest.fixture
def seats() -> list[Seat]:
    (port,) = free_ports(HOST, 1)
    return [Seat(node, 3, HOST, port, job="s3://gift/job") for node in range(3)]


@pytest.fixture
def calls(seats: list[Seat], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RollCall]]:
    """Three nodes that have met, and are quick to judge."""
    monkeypatch.setattr("gift.launch.node_link.ALIVE_SECONDS", 0.1)
    monkeypatch.setattr("gift.launch.node_link.SILENCE_SECONDS", 1.0)
    monkeypatch.setattr("gift.launch.roll_call.SETTLE_SECONDS", 2.0)
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        met = list(pool.map(lambda seat: RollCall.meet(seat, seconds=10), seats))
        for call in met:
            stack.enter_context(closing(call))
        yield met


def soon(call: RollCall) -> OtherNodeError:
    """What `check` raises, within a few seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            call.check()
        except OtherNodeError as error:
            return error
        time.sleep(0.02)
    raise AssertionError("nothing was noticed")


def at_once(*works: Callable[[], object]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return [str(future.result()) for future in [pool.submit(work) for work in works]]


def test_nodes_that_are_well_hear_of_no_fault(calls: list[RollCall]) -> None:
    time.sleep(1.5)  # longer than the silence that counts as lost
    for call in calls:
        call.check()
        assert call.interface == "lo"
    for call in calls:
        call.done()
    time.sleep(0.2)
    calls[1].close()
    time.sleep(0.2)
    calls[0].check()  # who is done may leave


def test_a_node_that_ends_without_a_word_is_named_on_all_others(calls: list[RollCall]) -> None:
    calls[1].close()
    error = soon(calls[0])
    assert str(error).startswith(f"node 1 of 3 ({HOST}) was lost: it ended without a word")
    assert at_once(lambda: calls[0].first_cause(error), lambda: soon(calls[2])) == [str(error)] * 2


def test_when_node_0_ends_the_others_name_it(calls: list[RollCall]) -> None:
    calls[0].close()
    assert str(soon(calls[1])).startswith(f"node 0 of 3 ({HOST}) was lost")


def test_a_silent_node_is_lost(calls: list[RollCall], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection stays open, as when its machine loses power."""
    monkeypatch.setattr(calls[2]._links[0], "send", lambda message: None)
    error = soon(calls[0])
    assert str(error).startswith(f"node 2 of 3 ({HOST}) was lost: no sign of life for")
    time.sleep(1.1)
    assert at_once(lambda: calls[0].first_cause(error), lambda: soon(calls[1])) == [str(error)] * 2


def test_the_first_cause_is_told_from_its_consequences(calls: list[RollCall]) -> None:
    killed = GiftError("gift.training.rl: rank 2 was killed by SIGKILL (exit code -9)")
    causes = at_once(
        lambda: calls[0].first_cause(CLOSED), lambda: calls[1].first_cause(CLOSED), lambda: calls[2].first_cause(killed)
    )
    assert causes == [f"node 2 of 3: {killed}"] * 3


def test_a_rank_that_hangs_is_the_cause_of_what_times_out_elsewhere(calls: list[RollCall]) -> None:
    late = GiftError("rank 2 is still sampling after 30 minutes; it needs more than rollout.timeout_minutes (30)")
    waited = GiftError("gift.training.rl: rank 0 failed (exit code 1): RuntimeError: Timed out waiting 3600000ms")
    causes = at_once(
        lambda: calls[0].first_cause(waited), lambda: calls[1].first_cause(CLOSED), lambda: calls[2].first_cause(late)
    )
    assert causes == [f"node 2 of 3: {late}"] * 3


def test_a_lost_node_is_the_cause_of_broken_connections(calls: list[RollCall]) -> None:
    calls[1].close()
    causes = at_once(lambda: calls[0].first_cause(CLOSED), lambda: calls[2].first_cause(CLOSED))
    assert causes[0] == causes[1]
    assert causes[0].startswith(f"node 1 of 3 ({HOST}) was lost")


def test_nodes_that_kubernetes_stops_because_one_was_lost_still_name_it(calls: list[RollCall]) -> None:
    stopped = GiftError("was told to stop (SIGTERM)")
    calls[1].close()
    causes = at_once(lambda: calls[0].first_cause(stopped), lambda: calls[2].first_cause(stopped))
    assert causes[0] == causes[1]
    assert causes[0].startswith(f"node 1 of 3 ({HOST}) was lost")


def test_a_node_that_is_stopped_alone_is_the_cause(calls: list[RollCall]) -> None:
    stopped = GiftError("was told to stop (SIGTERM)")
    causes = at_once(
        lambda: calls[0].first_cause(CLOSED),
        lambda: calls[1].first_cause(stopped),
        lambda: calls[2].first_cause(CLOSED),
    )
    assert causes == ["node 1 of 3: was told to stop (SIGTERM)"] * 3


def test_ranks_that_hang_on_another_node_are_told(calls: list[RollCall]) -> None:
    with ThreadPoolExecutor() as pool:
        failing = pool.submit(calls[1].first_cause, GiftError("no reward has that name"))
        error = soon(calls[0])
        assert at_once(lambda: calls[0].first_cause(error), lambda: soon(calls[2])) == [str(error)] * 2
        assert failing.result() == str(error) == "node 1 of 3: no reward has that name"


def test_a_node_that_does_not_come_is_named(seats: list[Seat]) -> None:
    def meet(seat: Seat) -> str:
        with pytest.raises(GiftError) as error:
            RollCall.meet(seat, seconds=2)
        return str(error.value)

    first, second = at_once(lambda: meet(seats[0]), lambda: meet(seats[1]))
    assert first.startswith("node 2 of 3 did not come to the roll call")
    assert second.startswith("node 0 of 3 did not answer")


def test_strangers_and_pods_of_an_earlier_attempt_are_no_nodes(seats: list[Seat]) -> None:
    address = (HOST, seats[0].port)

    def knock(message: bytes) -> None:
        deadline = time.monotonic() + 5
        while True:
            try:
                with socket.create_connection(address, timeout=5) as connection:
                    connection.sendall(message)
                    assert connection.recv(100) == b""  # turned away
                    return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        first = pool.submit(RollCall.meet, seats[0], 20)
        for message in (b"GET / HTTP/1.1\r\n\r\n", json.dumps({"node": 1, "job": "another"}).encode() + b"\n"):
            knock(message)
        others = [pool.submit(RollCall.meet, seat, 20) for seat in seats[1:]]
        for call in (first, *others):
            stack.enter_context(closing(call.result()))
        first.result().check()


def test_a_cause_of_whatever_length_reaches_the_others(calls: list[RollCall]) -> None:
    cause = GiftError(f"RuntimeError: Missing key(s) in state_dict: {'a.weight, ' * 10_000}")
    _, heard = at_once(lambda: calls[1].first_cause(cause), lambda: soon(calls[0]))
    assert heard.startswith("node 1 of 3: RuntimeError: Missing key(s) in state_dict: a.weight, a.weight, ")
