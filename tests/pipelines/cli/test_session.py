"""What surrounds a run: whose services it uses, and what ends its stages."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gift.errors import GiftError
from pipelines.cli.session import known_run, session_services
from pipelines.local.runner import SUBPROCESSES, stages_end_with_us


def test_the_address_of_named_servers_is_shown_without_a_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://alice:abc@mlflow.example:5502/base")
    with session_services(tmp_path / "state", 8333, 5500) as page:
        assert page == "https://mlflow.example:5502/base"
    assert not (tmp_path / "state").exists(), "nothing of our own is started"


def test_an_address_of_mlflow_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://[::1")
    with pytest.raises(GiftError, match="MLFLOW_TRACKING_URI is no URL: Invalid IPv6 URL; set it to one such as"):
        session_services(tmp_path / "state", 8333, 5500).__enter__()


def test_the_link_to_the_latest_run_is_no_run_to_go_on_with(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").touch()
    (tmp_path / "latest").symlink_to("one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one").rename(tmp_path / "elsewhere" / "one")
    (tmp_path / "one").symlink_to("elsewhere/one")
    assert known_run("one", tmp_path) == "one"
    with pytest.raises(GiftError, match=r"latest is a link to the run one; say --run-id one"):
        known_run("latest", tmp_path)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_whom_a_user_reaches_without_a_proxy_stays_so(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def no_servers(*_: Path, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(environment={}, mlflow_port=5500)

    monkeypatch.setattr("pipelines.cli.session.shared_services", no_servers)
    for variable in ("no_proxy", "NO_PROXY", "MLFLOW_DISABLE_TELEMETRY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(variable, "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv(name, ".internal")
    with session_services(tmp_path / "state", 8333, 5500, host="172.17.0.1"):
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == ".internal,172.17.0.1"


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
