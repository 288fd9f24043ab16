"""What surrounds a run: whose services it uses, and what ends its stages."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.cli.session import session_services
from pipelines.local.runner import SUBPROCESSES, stages_end_with_us


def test_the_address_of_named_servers_is_shown_without_a_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://alice:abc@mlflow.example:5502/base")
    with session_services(tmp_path / "state", 8333, 5500) as page:
        assert page == "https://mlflow.example:5502/base"
    assert not (tmp_path / "state").exists(), "nothing of our own is started"


@contextmanager
def handled(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    """Inside, a signal is taken like that; CI itself may run under nohup."""
    former = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, former)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_run_ends_its_stage(number: signal.Signals) -> None:
    stopped: list[bool] = []
    with (
        handled(signal.SIGHUP, signal.SIG_DFL),
        pytest.raises(KeyboardInterrupt, match=number.name),
        stages_end_with_us(replace(SUBPROCESSES, stop=lambda: stopped.append(True))),
    ):
        os.kill(os.getpid(), number)
    assert stopped == [True]


def test_a_run_under_nohup_survives_its_terminal() -> None:
    with handled(signal.SIGHUP, signal.SIG_IGN), stages_end_with_us():
        os.kill(os.getpid(), signal.SIGHUP)
