"""The command line: mistakes are answered with one line, before anything is started or written."""

import errno
import json
import os
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.cli.session import one_line_errors
from pipelines.local.run_log import StageFailedError
from pipelines.local.services import Services


@pytest.fixture
def gift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command line in an empty folder; returns (exit code, all output)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.output

    return run


def test_profiles_are_listed(gift) -> None:
    status, output = gift("profiles")
    assert status == 0
    assert "local" in output
    assert "smollm2-gsm8k" in output


def test_a_report_is_printed_as_a_table(gift) -> None:
    example = Path(__file__).parents[2] / "gift" / "report" / "report.json"
    status, output = gift("report", "show", str(example))
    assert status == 0
    assert "84.6 ± 1.6 %" in output
    status, output = gift("report", "show", str(example), "--markdown")
    assert status == 0
    assert "| SFT | 55.2 ± 2.2 % |" in output
    status, output = gift("report", "show", "none.json")
    assert status == 1
    assert "none.json can't be read: No such file" in output


def test_a_folder_that_is_a_file_is_named_before_anything_starts(gift, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option in ("--runs", "--state-dir"):
        status, output = gift("run", "--profile", "local", option, "file/runs")
        assert status == 1
        assert output.startswith("error: file/runs can't be a folder: ")
        assert output.endswith("is a file; choose another with --runs or --state-dir\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_file_holds_is_shown_as_it_is_written(gift, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps({"question": "q", "final_answer": "x\x1b[2J[red]\u202e"}))
    status, output = gift("check", "data", "own.jsonl")
    assert "\x1b" not in output
    report = json.loads((Path(__file__).parents[2] / "gift" / "report" / "report.json").read_text())
    for scores in report["models"].values():
        scores["\x1b[2J\x1b]0;title\x07"] = next(iter(scores.values()))
    (tmp_path / "report.json").write_text(json.dumps(report))
    for arguments in ((), ("--markdown",)):
        status, output = gift("report", "show", "report.json", *arguments)
        assert (status, "\x1b" in output, r"\x1b" in output) == (0, False, True), output


def test_a_fault_of_the_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), one_line_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "runs/1/run.log")
    assert capsys.readouterr().err == "error: runs/1/run.log: No space left on device\n"
    with pytest.raises(typer.Exit), one_line_errors():
        raise StageFailedError("stage gate failed", ["\x1b[31ma\nb", "c"])
    assert capsys.readouterr().err == "error: stage gate failed\n    \\x1b[31ma\\nb\n    c\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "nope"), "profile 'nope' does not exist"),
        (("--profile", "local", "--set", "rollout.group_size=1"), "rollout.group_size: input should be greater"),
        (("--profile", "local", "--set", "data.colour=red"), "data.arithmetic.colour is not a known key"),
        (("--profile", "local", "--run-id", "never"), "there is no run never in runs"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    gift, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    status, output = gift("run", *arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data={source: gsm8k, folder: /no/such/folder}", "data folder /no/such/folder does not exist"),
        ("model={source: package, package: no_such_package, file: x.gguf}", "model package no_such_package is not"),
        ("model={source: folder, path: /no/such/model}", "model folder /no/such/model has no config.json"),
        ("rewards=[{kind: function, function: 'no_such_module:reward'}]", "there is no module no_such_module"),
        ("rewards=[{kind: model, model: {source: folder, path: /no/such}}]", "model folder /no/such has no"),
    ],
)
def test_what_is_missing_is_found_before_the_first_stage(
    gift, services: Services, tmp_path: Path, override: str, message: str
) -> None:
    status, output = gift("run", "--profile", "local", "--set", override)
    assert status == 1
    assert message in output
    assert "▶" not in output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("runs", ["file", "file/below"])
def test_a_file_where_a_folder_must_be_is_found_before_the_first_stage(
    gift, services: Services, tmp_path: Path, runs: str
) -> None:
    (tmp_path / "file").touch()
    status, output = gift("run", "--profile", "local", "--runs", runs)
    assert status == 1
    assert f"error: {runs} can't be a folder: " in output
    assert "--runs" in output
    assert "▶" not in output


def test_a_full_disk_is_found_before_the_first_stage(gift, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gift.preflight.inputs.FREE_BYTES", 2**60)
    status, output = gift("run", "--profile", "local")
    assert status == 1
    assert "a run needs at least" in output


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "MLflow at 127.0.0.1:9 does not answer"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "refuse"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9", "127.0.0.1:9"),
    ],
)
def test_servers_that_are_away_or_refuse_are_named(
    gift, services: Services, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    status, output = gift("run", "--profile", "local")
    assert status == 1
    assert message in output
    assert os.environ["AWS_ACCESS_KEY_ID"] not in output
    assert "Traceback" not in output


def test_a_bucket_that_is_not_there_is_named(gift, services: Services) -> None:
    status, output = gift("run", "--profile", "local", "--set", "storage.uri=s3://no-such-bucket")
    assert status == 1
    assert "no-such-bucket" in output


def test_a_taken_port_is_named_with_the_way_out(gift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, output = gift("run", "--profile", "local", "--s3-port", str(port))
    assert status == 1
    assert f"port {port} for the S3 server is not free" in output
    assert "--s3-port" in output


def test_down_without_up_says_so(gift) -> None:
    assert gift("down") == (0, "nothing was running\n")


@pytest.mark.parametrize("check", [("normalization", "--profile", "local"), ("resume", "--kills", "2")])
def test_a_mistake_in_what_is_to_be_checked_starts_nothing(gift, tmp_path: Path, check: tuple[str, ...]) -> None:
    status, output = gift("check", *check, "--set", "rollout.group_size=1")
    assert status == 1
    assert output.startswith("error: ")
    assert "rollout.group_size: input should be greater" in output
    assert list(tmp_path.iterdir()) == []
