"""The connection to KFP: addresses, tokens, sign-in pages and a busy server, as `gift schedule plan` tells of them."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from kfp_server import Fault, KfpServer
from scheduling import Gift


def test_the_token_is_sent_and_never_shown(
    gift: Gift, server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "token-of-a-test"
    status, output = gift("plan")
    assert status == 1
    assert "refuses access (401: unauthenticated); set KFP_TOKEN" in output
    monkeypatch.setenv("KFP_TOKEN", "wrong-token")
    status, output = gift("plan")
    assert status == 1
    assert "wrong-token" not in output
    monkeypatch.setenv("KFP_TOKEN", server.token)
    assert gift("apply")[0] == 0
    mounted = tmp_path / "token"
    mounted.write_text(f"{server.token}\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(mounted))
    monkeypatch.setenv("KFP_TOKEN", "wrong-token")
    assert gift("plan")[0] == 0
    status, output = gift("plan", "--kfp-host", "http://kubeflow.example.org")
    assert (status, server.token in output) == (1, False)
    assert "would travel unencrypted to kubeflow.example.org" in output


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (None, "no address of Kubeflow Pipelines; set KF_PIPELINES_ENDPOINT"),
        ("http://127.0.0.1:9", "KFP at http://127.0.0.1:9 does not answer (no connection)"),
        ("kubeflow", "the address of KFP must be like https://"),
        ("http://127.0.0.1:8888/#/pipelines", "the address of KFP must be like https://"),
        ("http://127.0.0.1:99999", "is no URL, or its port no number from 1 to 65535"),
        ("https://alice:abc@kubeflow:8888x", "is no URL, or its port no number from 1 to 65535"),
    ],
)
def test_an_address_that_is_missing_wrong_or_dead_is_one_line(
    gift: Gift, monkeypatch: pytest.MonkeyPatch, host: str | None, message: str
) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    status, output = gift("plan", *([] if host is None else ["--kfp-host", host]))
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "is none: it must be one word of ASCII"),
        (b"one\ntwo", "is none: it must be one word of ASCII"),
        (b"\n", "it is empty"),
    ],
)
def test_a_file_that_holds_no_token_is_one_line(
    gift: Gift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    status, output = gift("plan")
    assert (status, output.count("\n")) == (1, 1)
    assert message in output


@pytest.mark.parametrize("token", ["one\ntwo", "größe€", "one two"])
def test_a_token_that_no_header_takes_is_one_line_without_it(
    gift: Gift, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KFP_TOKEN", token)
    status, output = gift("plan")
    assert (status, output.count("\n")) == (1, 1)
    assert "the KFP token in KFP_TOKEN is none: it must be one word of ASCII; put the token there" in output
    monkeypatch.setenv("KFP_TOKEN", "token\r\n")
    assert gift("plan")[0] == 2


@pytest.mark.parametrize(
    ("status", "message"), [(200, "is not the API of Kubeflow"), (302, "perhaps to a sign-in page")]
)
def test_a_page_to_sign_in_is_not_taken_for_an_empty_cluster(gift: Gift, status: int, message: str) -> None:
    class SignIn(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/html")
            self.send_header("location", "/sign-in")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), SignIn) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        exit_status, output = gift("plan", "--kfp-host", f"http://127.0.0.1:{listener.server_address[1]}")
        listener.shutdown()
    assert exit_status == 1
    assert message in output


def test_a_kfp_without_ids_of_runs_is_refused_before_anything_is_sent(gift: Gift, server: KfpServer) -> None:
    server.version = "2.4.1"
    status, output = gift("apply")
    assert status == 1
    assert output == (
        f"error: KFP 2.4 at {server.address} is too old: it gives all runs one id; upgrade it to 2.17 (2.5 is the "
        "oldest that works)\n"
    )
    assert server.writes == []


def test_a_busy_server_is_asked_again(gift: Gift, server: KfpServer) -> None:
    server.read_faults = [Fault(503, applied=False), Fault(None, applied=False)]
    assert gift("plan") == (2, "nightly  create\n")
    server.read_faults = [Fault(503, applied=False)] * 3
    status, output = gift("plan")
    assert status == 1
    assert "fails (503: an injected fault)" in output
