"""The webhook, against a real HTTP server: what it is told; no fault of it stops a run or shows its address."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from loopback import served

from gift import webhook
from gift.webhook import RunEnd, post_run_end
from pipelines.machine.processes import free_ports

SECRET_PATH = "/services/T00/secret-path"
END = RunEnd(run_id="run-1", experiment="gift", state="FAILED", failed_stage="train-policy", mlflow_run="abc")


@dataclass
class Webhook:
    """A server that answers with `status` and keeps what it was sent."""

    url: str = ""
    status: int = 200
    delay: threading.Event | None = None
    received: list[tuple[str, str, Any]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    state = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((self.path, self.headers["Content-Type"], json.loads(body)))
            if state.delay is not None:
                state.delay.wait(30)
            self.send_response(state.status)
            if state.status == 302:
                self.send_header("Location", f"{state.url}/elsewhere")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None: ...

    with served(Handler) as port:
        state.url = f"http://127.0.0.1:{port}{SECRET_PATH}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("GIFT_WEBHOOK_URL", state.url)
        yield state
        if state.delay is not None:
            state.delay.set()


def test_the_webhook_is_told_how_the_run_ended(server: Webhook, capsys: pytest.CaptureFixture[str]) -> None:
    post_run_end(END)
    expected = {
        "event": "run ended",
        "run_id": "run-1",
        "experiment": "gift",
        "state": "FAILED",
        "failed_stage": "train-policy",
        "mlflow_run": "abc",
    }
    assert server.received == [(SECRET_PATH, "application/json", expected)]
    assert capsys.readouterr().out == "  told the webhook\n"


def test_without_an_address_nothing_is_sent_or_said(
    server: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GIFT_WEBHOOK_URL")
    post_run_end(END)
    assert server.received == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_is_one_line_without_the_address(
    server: Webhook, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = status
    post_run_end(END)
    assert capsys.readouterr().out == f"  warning: the webhook at 127.0.0.1 answered HTTP {status}\n"
    assert len(server.received) == 1  # a redirect is not followed


def test_a_silent_webhook_is_given_up(
    server: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert webhook.SECONDS == 10
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    server.delay = threading.Event()
    post_run_end(END)
    assert capsys.readouterr().out == "  warning: the webhook at 127.0.0.1 was not reached (ReadTimeout)\n"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://127.0.0.1:{port}/secret-path", "the webhook at 127.0.0.1 was not reached (ConnectionError)"),
        ("http://me:secret-path@127.0.0.1:{port}/", "the webhook at 127.0.0.1 was not reached (ConnectionError)"),
        ("secret-path", "the webhook was not reached (MissingSchema)"),
        ("http://[secret-path", "the webhook was not reached (InvalidURL)"),
        ("gopher://somewhere/secret-path", "the webhook at somewhere was not reached (InvalidSchema)"),
    ],
)
def test_a_webhook_that_is_not_there_is_one_line_without_its_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, line: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GIFT_WEBHOOK_URL", url.format(port=free_ports("127.0.0.1", 1)[0]))
    post_run_end(END)
    output = capsys.readouterr()
    assert output.out == f"  warning: {line}\n"
    assert "secret-path" not in output.out + output.err
