"""`gift run --runner cluster` and `gift cluster …` against KFP's HTTP API."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kfp_server import Fault, KfpServer, running_server
from typer.testing import CliRunner

from gift.config import RunConfig
from gift.storage import upload_directory
from pipelines.cli.main import app
from pipelines.kubeflow import cluster_run, kfp_api
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.local.services import Services

pytestmark = pytest.mark.slow

IMAGE = f"registry.example.org/gift@sha256:{'b' * 64}"
RUN = ("run", "--runner", "cluster", "--profile", "local", "--image", IMAGE)
ROOT = Path(__file__).parents[3]
REPORT = ROOT / "tests" / "gift" / "report" / "report.json"

Gift = Callable[..., tuple[int, str]]


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def gift(server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gift:
    """Runs the command line, without S3, against the server; returns (exit status, output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setattr(cluster_run, "compile_pipeline", compiled_once)
    monkeypatch.setattr(kfp_api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 0.3)
    monkeypatch.setattr(cluster_run, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster_run, "FOLLOW_PAUSES", (0.01,) * 5)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


_COMPILED: dict[str, str] = {}


def compiled_once(config: RunConfig, image: str) -> str:
    """The real compiler, which takes a second."""
    if image != IMAGE:
        return compile_pipeline(config, image)
    if config.digest() not in _COMPILED:
        _COMPILED[config.digest()] = compile_pipeline(config, image)
    return _COMPILED[config.digest()]


TRAINED = [
    ("PENDING", {}),
    ("RUNNING", {"root": "RUNNING", "start-run-driver": "SUCCEEDED", "start-run": "RUNNING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "RUNNING", "convert-2": "PENDING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "RUNNING", "convert-2": "PENDING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "SUCCEEDED", "convert-2": "SUCCEEDED"}),
    ("SUCCEEDED", {"start-run": "SUCCEEDED", "convert": "SUCCEEDED", "convert-2": "SUCCEEDED"}),
]


def test_a_run_is_submitted_and_followed_to_its_end(
    gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI", "https://kubeflow.example.org/pipeline/")
    server.progress = list(TRAINED)
    status, output = gift(*RUN, "--set", "storage.uri=s3://bucket/prefix")
    assert status == 0, output
    (run,) = server.runs.values()
    lines = output.splitlines()
    assert lines[0].startswith(f"run {run.run_id}: ")
    assert lines[1] == f"page https://kubeflow.example.org/pipeline/#/runs/details/{run.run_id}"
    assert lines[2:8] == [
        "▶ start-run",
        "  start-run succeeded",
        "▶ convert-sft",
        "  convert-sft succeeded",
        "▶ convert-candidate",
        "  convert-candidate succeeded",
    ]
    assert f"s3://bucket/prefix/runs/{run.run_id}/report" in lines[8]
    assert set(run.pipeline_spec) == {"pipeline_spec", "platform_spec"}
    assert run.runtime_config is None
    assert "-local-" in run.display_name


def test_a_failed_stage_is_named_and_the_exit_status_is_1(gift: Gift, server: KfpServer) -> None:
    server.progress = [
        ("RUNNING", {"train-sft": "RUNNING"}),
        ("FAILED", {"train-sft": "FAILED", "finish-run": "SUCCEEDED"}),
    ]
    status, output = gift(*RUN)
    assert status == 1
    assert "  train-sft failed\n" in output
    (run_id,) = server.runs
    assert output.splitlines()[-1] == (
        f"error: stage train-sft failed; its logs are on http://127.0.0.1:8080/#/runs/details/{run_id} after `kubectl "
        "port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80` (KF_PIPELINES_UI names another address)"
    )


@pytest.mark.parametrize(
    ("state", "message"), [("CANCELED", "was terminated"), ("FAILED", "the run failed outside of its stages")]
)
def test_other_bad_ends_are_told(gift: Gift, server: KfpServer, state: str, message: str) -> None:
    server.progress = [(state, {})]
    status, output = gift(*RUN)
    assert status == 1
    assert message in output


def test_a_server_that_is_away_for_a_while_costs_nothing(gift: Gift, server: KfpServer) -> None:
    server.progress = list(TRAINED)
    server.faulty_path = "/runs/"
    server.read_faults = [*[Fault(500, applied=False)] * 3, Fault(None, applied=False), Fault(503, applied=False)]
    assert len(server.read_faults) > len(kfp_api.PAUSES) + 1, "more than another call would bear"
    status, output = gift(*RUN)
    assert status == 0, output
    assert server.read_faults == []


def test_a_server_that_stays_away_is_told_with_the_way_back(gift: Gift, server: KfpServer) -> None:
    server.progress = TRAINED[:2]
    server.down_after_write = 2  # the experiment and the run
    status, output = gift(*RUN)
    assert status == 1
    (run_id,) = server.runs
    assert f"the run goes on, `gift cluster follow {run_id}` follows it again" in output


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, applied=False),
        Fault(500, applied=True),
        Fault(None, applied=False, hangs=True),
        Fault(None, applied=True),
        Fault(409, applied=True),
    ],
)
def test_a_lost_answer_neither_loses_the_run_nor_makes_two(
    gift: Gift, server: KfpServer, number: int, fault: Fault
) -> None:
    server.progress = list(TRAINED)
    server.write_faults = {number: fault}
    status, output = gift(*RUN)
    assert status == 0, output
    assert len(server.runs) == len(server.experiments) == 1


def test_the_report_is_fetched_where_the_environment_has_s3(
    gift: Gift,
    server: KfpServer,
    services: Services,
    bucket_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.progress = list(TRAINED)
    assert gift(*RUN, "--set", f"storage.uri={bucket_prefix}")[0] == 0
    (run_id,) = server.runs
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(REPORT, made / "report.json")
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    upload_directory(made, f"{bucket_prefix}/runs/{run_id}/report")
    status, output = gift("cluster", "follow", run_id)
    assert status == 0, output
    assert "84.6 ± 1.6 %" in output
    assert (tmp_path / "runs" / run_id / "report.json").read_bytes() == REPORT.read_bytes()


def test_an_interrupt_leaves_the_run_going_and_says_how_to_follow_or_end_it(
    server: KfpServer, gift: Gift, tmp_path: Path
) -> None:
    server.progress = [("RUNNING", {"train-sft": "RUNNING"})]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *RUN],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job, as CI may be one, ignores SIGINT and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    while "train-sft" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 130
    (run_id,) = server.runs
    assert "the run goes on" in rest
    assert f"gift cluster follow {run_id}" in rest
    assert server.runs[run_id].state == "RUNNING"
    assert f"gift cluster terminate {run_id}" in rest
    status, output = gift("cluster", "terminate", run_id)
    assert (status, output.splitlines()[0]) == (0, f"run {run_id} is being terminated")
    assert server.runs[run_id].state == "CANCELING"
    assert gift("cluster", "terminate", run_id)[0] == 0, "once more, as if the answer had been lost"
    status, output = gift("cluster", "follow", run_id)
    assert (status, output.splitlines()[-1]) == (1, f"error: run {run_id} was terminated")
    status, output = gift("cluster", "terminate", run_id)
    assert (status, output) == (1, f"error: run {run_id} has ended already: FAILED\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (RUN[:-2], "--runner cluster needs --image registry/name@sha256:"),
        ((*RUN[:-1], "gift:latest"), "must be named by its digest"),
        (("run", "--profile", "local", "--image", IMAGE), "--image has no meaning for --runner subprocess"),
        (("run", "--profile", "local", "--kfp-host", "http://127.0.0.1:9"), "--kfp-host has no meaning"),
        ((*RUN, "--s3-port", "9"), "--s3-port has no meaning for --runner cluster"),
        (("run", "--profile", "local", "--dry-run", "--runner", "docker"), "--runner has no meaning for --dry-run"),
        ((*RUN, "--kfp-host", "http://127.0.0.1:9"), "does not answer"),
        ((*RUN, "--kfp-host", "https://[bad"), "the address of KFP is no URL"),
        (("cluster", "follow", "nobody"), "(404: nobody not found)"),
        (("cluster", "terminate", "nobody"), "(404: nobody not found)"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    gift: Gift, server: KfpServer, arguments: tuple[str, ...], message: str
) -> None:
    status, output = gift(*arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
    assert server.runs == {}
