"""`gift run --runner cluster` and `gift cluster …` against KFP's HTTP API."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_runs import IMAGE, RUN, TRAINED, Gift
from kfp_server import Fault, KfpServer

from gift.storage import upload_directory
from pipelines.kubeflow import kfp_api
from pipelines.local.services import Services

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
REPORT = ROOT / "tests" / "gift" / "report" / "report.json"


def test_a_run_is_submitted_and_followed_to_its_end(
    cluster_gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI", "https://kubeflow.example.org/pipeline/")
    server.progress = list(TRAINED)
    status, output = cluster_gift(*RUN, "--set", "storage.uri=s3://bucket/prefix")
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


def test_the_option_names_the_pages_before_the_environment(
    cluster_gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI", "https://elsewhere.example.org")
    server.progress = [("FAILED", {"train-sft": "FAILED"})]
    _, output = cluster_gift(*RUN, "--ui", "https://kubeflow.example.org/pipeline")
    (run_id,) = server.runs
    assert output.splitlines()[1] == f"page https://kubeflow.example.org/pipeline/#/runs/details/{run_id}"
    server.progress = [("FAILED", {"train-sft": "FAILED"})]
    _, output = cluster_gift("cluster", "follow", run_id, "--ui", "https://kubeflow.example.org/pipeline")
    assert f"its logs are on https://kubeflow.example.org/pipeline/#/runs/details/{run_id}" in output


def test_a_failed_stage_is_named_and_the_exit_status_is_1(cluster_gift: Gift, server: KfpServer) -> None:
    server.progress = [
        ("RUNNING", {"train-sft": "RUNNING"}),
        ("FAILED", {"train-sft": "FAILED", "finish-run": "SUCCEEDED"}),
    ]
    status, output = cluster_gift(*RUN)
    assert status == 1
    assert "  train-sft failed\n" in output
    (run_id,) = server.runs
    assert output.splitlines()[-1] == (
        f"error: stage train-sft failed; its logs are on http://127.0.0.1:8080/#/runs/details/{run_id} after `kubectl "
        "port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80` (KF_PIPELINES_UI or --ui names another "
        "address)"
    )


@pytest.mark.parametrize(
    ("state", "message"), [("CANCELED", "was terminated"), ("FAILED", "the run failed outside of its stages")]
)
def test_other_bad_ends_are_told(cluster_gift: Gift, server: KfpServer, state: str, message: str) -> None:
    server.progress = [(state, {})]
    status, output = cluster_gift(*RUN)
    assert status == 1
    assert message in output


def test_a_server_that_is_away_for_a_while_costs_nothing(cluster_gift: Gift, server: KfpServer) -> None:
    server.progress = list(TRAINED)
    server.faulty_path = "/runs/"
    server.read_faults = [*[Fault(500, applied=False)] * 3, Fault(None, applied=False), Fault(503, applied=False)]
    assert len(server.read_faults) > len(kfp_api.PAUSES) + 1, "more than another call would bear"
    status, output = cluster_gift(*RUN)
    assert status == 0, output
    assert server.read_faults == []


def test_a_server_that_stays_away_is_told_with_the_way_back(cluster_gift: Gift, server: KfpServer) -> None:
    server.progress = TRAINED[:2]
    server.down_after_write = 2  # the experiment and the run
    status, output = cluster_gift(*RUN)
    assert status == 1
    (run_id,) = server.runs
    assert f"the run goes on, `gift cluster follow {run_id}` follows it again" in output


@pytest.mark.usefixtures("hasty")
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
    cluster_gift: Gift, server: KfpServer, number: int, fault: Fault
) -> None:
    server.progress = list(TRAINED)
    server.write_faults = {number: fault}
    status, output = cluster_gift(*RUN)
    assert status == 0, output
    assert len(server.runs) == len(server.experiments) == 1


def test_the_report_is_fetched_where_the_environment_has_s3(
    cluster_gift: Gift,
    server: KfpServer,
    services: Services,
    bucket_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.progress = list(TRAINED)
    assert cluster_gift(*RUN, "--set", f"storage.uri={bucket_prefix}")[0] == 0
    (run_id,) = server.runs
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(REPORT, made / "report.json")
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    upload_directory(made, f"{bucket_prefix}/runs/{run_id}/report")
    status, output = cluster_gift("cluster", "follow", run_id)
    assert status == 0, output
    assert "84.6 ± 1.6 %" in output
    assert (tmp_path / "runs" / run_id / "report.json").read_bytes() == REPORT.read_bytes()


def test_an_interrupt_leaves_the_run_going_and_says_how_to_follow_or_end_it(
    server: KfpServer, cluster_gift: Gift, tmp_path: Path
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
    status, output = cluster_gift("cluster", "terminate", run_id)
    assert (status, output.splitlines()[0]) == (0, f"run {run_id} is being terminated")
    assert server.runs[run_id].state == "CANCELING"
    assert cluster_gift("cluster", "terminate", run_id)[0] == 0, "once more, as if the answer had been lost"
    status, output = cluster_gift("cluster", "follow", run_id)
    assert (status, output.splitlines()[-1]) == (1, f"error: run {run_id} was terminated")
    status, output = cluster_gift("cluster", "terminate", run_id)
    assert (status, output) == (1, f"error: run {run_id} has ended already: FAILED\n")


def test_a_run_of_another_version_is_one_line_with_a_way_to_follow_it(cluster_gift: Gift, server: KfpServer) -> None:
    server.progress = list(TRAINED)
    assert cluster_gift(*RUN)[0] == 0
    (run,) = server.runs.values()
    config = run.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]["config"]
    config["defaultValue"] = config["defaultValue"].replace('"seed":0', '"seed":0,"of_tomorrow":1')
    status, output = cluster_gift("cluster", "follow", run.run_id)
    assert (status, output.count("\n")) == (1, 1)
    assert output.startswith(f"error: run {run.run_id}: ")
    assert "of_tomorrow" in output
    assert output.endswith("if another version of this project has submitted the run, follow it with that one\n")


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
    cluster_gift: Gift, server: KfpServer, arguments: tuple[str, ...], message: str
) -> None:
    status, output = cluster_gift(*arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
    assert server.runs == {}
