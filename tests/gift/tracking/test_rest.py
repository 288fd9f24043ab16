"""Our requests to MLflow: who signs in and how, what is tried again, and that an error never shows a password.

The server is a stand-in that writes down what it is asked; the real one is in the other tests of this folder.
"""

import base64
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from loopback import served

from gift.errors import GiftError
from gift.tracking import credentials
from gift.tracking.artifacts import log_artifact
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Run
from gift.tracking.faults import explain_errors, is_outage
from gift.tracking.health import check_tracking
from gift.tracking.rest import MlflowError


class StandIn:
    """Answers with the next of `answers` (status, body), the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = [(200, "{}")]
        self.headers: dict[str, str] = {}
        """Of each answer."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """(method, path, headers)"""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.command, self.path, dict(self.headers)))
                status, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in {**outer.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that http.server wants

            def log_message(self, *_: object) -> None:
                pass

        self.handler = Handler
        self.address = ""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    with served(stand_in.handler) as port:
        stand_in.address = f"127.0.0.1:{port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{stand_in.address}")
        yield stand_in


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
        ({"MLFLOW_TRACKING_TOKEN": "t\n", "MLFLOW_TRACKING_URI": "http://{address}\n"}, "Bearer t"),
        ({"MLFLOW_TRACKING_USERNAME": "ü", "MLFLOW_TRACKING_PASSWORD": "p"}, basic("ü:p")),
        (
            {"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p", "MLFLOW_TRACKING_TOKEN": "t"},
            basic("u:p"),
        ),
        ({"MLFLOW_TRACKING_URI": "http://in:uri@{address}/"}, basic("in:uri")),
    ],
)
def test_the_sign_ins_of_mlflows_own_client(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(address=stand_in.address))
    MlflowClient().set_tags("r", {"a": "b"})
    ((method, path, headers),) = stand_in.requests
    assert (method, path, headers.get("Authorization")) == ("POST", "/api/2.0/mlflow/runs/log-batch", header)


OWN = {"GIFT_MLFLOW_TRACKING_URI": "http://{address}/own", "GIFT_MLFLOW_TRACKING_TOKEN": "own"}
KFPS = {"MLFLOW_TRACKING_URI": "http://{address}/kfps"}


@pytest.mark.parametrize(
    ("variables", "path", "header"),
    [
        (OWN, "/own", "Bearer own"),
        (OWN | {"MLFLOW_RUN_ID": "r"} | KFPS, "/kfps", None),
        (OWN | {"MLFLOW_RUN_ID": "r", "MLFLOW_TRACKING_TOKEN": "t"} | KFPS, "/kfps", "Bearer t"),
        (OWN | KFPS, "/own", "Bearer own"),
        (
            {"GIFT_MLFLOW_TRACKING_URI": "http://{address}/own", "MLFLOW_TRACKING_TOKEN": "kfps"},
            "/own",
            None,
        ),
    ],
    ids=["only ours", "a named run", "a named run with a token", "a server without a run", "a token without a run"],
)
def test_the_platforms_server_counts_where_it_names_a_run_and_neither_gets_the_others_password(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], path: str, header: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(address=stand_in.address))
    MlflowClient().set_tags("r", {"a": "b"})
    ((_, asked, headers),) = stand_in.requests
    assert (asked, headers.get("Authorization")) == (f"{path}/api/2.0/mlflow/runs/log-batch", header)


@pytest.mark.parametrize(
    ("variables", "workspace"),
    [
        ({"MLFLOW_TRACKING_AUTH": "kubernetes"}, None),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes-namespaced"}, "team-a"),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes-namespaced", "MLFLOW_WORKSPACE": "other"}, "other"),
    ],
)
def test_a_pod_signs_in_with_the_token_that_its_account_has_by_then(
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    workspace: str | None,
) -> None:
    monkeypatch.setattr(credentials, "ACCOUNT", tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "namespace").write_text("team-a")
    (tmp_path / "token").write_text("first\n")
    client = MlflowClient()
    client.set_tags("r", {"a": "b"})
    (tmp_path / "token").write_text("second\n")
    client.set_tags("r", {"a": "b"})
    headers = [headers for _, _, headers in stand_in.requests]
    assert [h["Authorization"] for h in headers] == ["Bearer first", "Bearer second"]
    assert {h.get("X-MLFLOW-WORKSPACE") for h in headers} == {workspace}


def test_a_login_may_be_in_mlflows_own_file(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    login = "[mlflow]\nmlflow_tracking_username = u\nmlflow_tracking_password = p%1\n"
    (tmp_path / ".mlflow" / "credentials").write_text(login)
    MlflowClient().set_tags("r", {"a": "b"})
    assert stand_in.requests[0][2]["Authorization"] == basic("u:p%1")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MLFLOW_TRACKING_AUTH": "databricks"}, "MLFLOW_TRACKING_AUTH is set, which"),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes"}, "AUTH is kubernetes, but there is no .*serviceaccount/token: give"),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "soon"}, "MLFLOW_HTTP_REQUEST_TIMEOUT is 'soon'"),
        ({"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_TRACKING_SERVER_CERT_PATH": "/ca.pem"}, "are both set"),
    ],
)
def test_a_setting_that_we_cannot_follow_is_refused(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GiftError, match=message):
        MlflowClient()


def test_what_may_be_repeated_is_tried_again_and_a_new_run_is_not(stand_in: StandIn) -> None:
    stand_in.answers = [(503, ""), (429, ""), (200, "{}")]
    MlflowClient().set_tags("r", {"a": "b"})
    assert len(stand_in.requests) == 3
    stand_in.requests.clear()
    stand_in.answers = [(503, "")]
    with pytest.raises(MlflowError):
        MlflowClient().create_run("0", "stage", {})
    assert len(stand_in.requests) == 1


@pytest.mark.parametrize(
    ("answer", "outage", "message"),
    [
        ((401, "who are you?"), True, r"refuses access \(HTTP 401\), while setting tags: check user name"),
        ((403, '{"error_code": "PERMISSION_DENIED", "message": "no"}'), True, r"refuses access \(PERMISSION_DENIED\)"),
        ((500, "<html>"), True, "does not answer, or answers with a server error"),
        ((429, ""), True, "does not answer, or answers with a server error"),
        ((408, ""), True, "does not answer, or answers with a server error"),
        ((200, "<html>"), True, r"server error \(no JSON\)"),
        ((404, "<html>"), False, r"refuses setting tags: .*\(HTTP 404\)"),
        (
            (400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "two\\nlines"}'),
            False,
            r"refuses setting tags: two lines \(INVALID_PARAMETER_VALUE\)$",
        ),
    ],
)
def test_outages_and_refusals_are_told_apart_in_one_line_without_the_password(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], outage: bool, message: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:a-password@{stand_in.address}")
    stand_in.answers = [answer]
    with pytest.raises(MlflowError) as raised:
        MlflowClient().set_tags("r", {"a": "b"})
    assert is_outage(raised.value) is outage
    with pytest.raises(GiftError, match=message) as explained, explain_errors("setting tags"):
        raise raised.value
    assert str(explained.value).startswith(f"MLflow at {stand_in.address} ")
    assert "a-password" not in str(explained.value)
    assert "\n" not in str(explained.value)


def test_all_pages_of_an_answer_are_read(stand_in: StandIn) -> None:
    version = {"version": "1", "source": "s3://gift/model", "creation_timestamp": 0}
    first = {"model_versions": [version], "next_page_token": "next"}
    stand_in.answers = [(200, json.dumps(first)), (200, json.dumps({"model_versions": [version | {"version": "2"}]}))]
    assert [found.version for found in MlflowClient().search_model_versions("name = 'm'")] == ["1", "2"]
    assert "page_token=next" in stand_in.requests[1][1]


def a_run(artifact_uri: str) -> Run:
    return Run("r", "0", "RUNNING", 0, None, artifact_uri, {}, {}, {})


def test_artifacts_go_through_the_server_below_its_own_path(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{stand_in.address}/base")
    log_artifact(MlflowClient(), a_run("mlflow-artifacts:/1/r/artifacts"), "a report.json", b"{}")
    assert stand_in.requests[0][:2] == (
        "PUT",
        "/base/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/a%20report.json",
    )


@pytest.mark.parametrize(
    "place", ["file:///mlruns/0/r/artifacts", "/mlruns/0/r/artifacts", "gs://bucket/0/r/artifacts"]
)
def test_artifacts_that_stages_cannot_write_are_refused(stand_in: StandIn, place: str) -> None:
    with pytest.raises(GiftError, match="where stages can't write; start the server with --artifacts-destination"):
        log_artifact(MlflowClient(), a_run(place), "report.json", b"{}")


def test_artifacts_of_a_server_without_a_proxy_go_to_s3(
    stand_in: StandIn, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gift.storage.client import connect, parse_uri

    log_artifact(MlflowClient(), a_run(f"{bucket_prefix}/0/r/artifacts"), "report.json", b'{"a": 1}')
    location = parse_uri(f"{bucket_prefix}/0/r/artifacts/report.json")
    assert connect().get_object(Bucket=location.bucket, Key=location.prefix)["Body"].read() == b'{"a": 1}'


def test_how_long_to_wait_is_not_for_the_server_to_say(stand_in: StandIn) -> None:
    stand_in.headers, stand_in.answers = {"Retry-After": "8"}, [(503, ""), (200, "{}")]
    started = time.monotonic()
    MlflowClient().set_tags("r", {"a": "b"})
    assert time.monotonic() - started < 4
    assert len(stand_in.requests) == 2


def test_the_page_that_asks_to_sign_in_is_no_answer(stand_in: StandIn) -> None:
    """Followed, a request to write becomes one to read that page, which is there: nothing is written."""
    stand_in.headers, stand_in.answers = {"Location": "/sign-in"}, [(302, ""), (200, "{}")]
    with pytest.raises(MlflowError, match="it sends us on to another address; set MLFLOW_TRACKING_URI") as refused:
        MlflowClient().rest.put_file(f"http://{stand_in.address}/file", b"content")
    assert not is_outage(refused.value)
    assert [path for _, path, _ in stand_in.requests] == ["/file"]
    stand_in.answers = [(302, ""), (200, "OK")]
    with pytest.raises(GiftError, match=r"is not a healthy MLflow server \(HTTP 302 from /health\)"):
        check_tracking()
