"""Whoever pastes the command has the commit and the very configuration of the run, whatever is written in it."""

import os
import subprocess
from pathlib import Path

import pytest

from gift.config import load_profile
from gift.report.rerun_command import reproduction_command
from gift.report.schema import Report, load_report

EXAMPLE = Path(__file__).with_name("report.json")
COMMIT = "a6e60e771bea901caf6df0a798e8a9bf1e28d850"


def _report(git_sha: str, description: str) -> Report:
    config = load_profile("local").model_copy(update={"description": description})
    update = {"provenance": {"git_sha": git_sha}, "config": config.model_dump(mode="json")}
    return load_report(EXAMPLE).model_copy(update=update)


@pytest.mark.parametrize("description", ["plain", 'it\'s $HOME `id` "x" \\ \nCONFIG\nexit 3 # ü'])
def test_a_shell_runs_the_commit_with_the_configuration_of_the_report(tmp_path: Path, description: str) -> None:
    for name in ("git", "gift"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> called\n')
        (tmp_path / name).chmod(0o755)
    report = _report(COMMIT, description)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", reproduction_command(report)], check=True, cwd=tmp_path, env=path)
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [f"git checkout {COMMIT}", "gift run --profile run.yaml"]
    assert load_profile(str(tmp_path / "run.yaml")).model_dump(mode="json") == report.config


@pytest.mark.parametrize("git_sha", ["unknown", "", "a6e60e7; rm -rf .", f"{COMMIT}\nid"])
def test_what_is_no_commit_is_not_written_into_a_command(git_sha: str) -> None:
    assert reproduction_command(_report(git_sha, "x")).splitlines()[0] == "# the report names no commit"


def test_changes_that_no_commit_has_are_said() -> None:
    lines = reproduction_command(_report(f"{COMMIT}-dirty", "x")).splitlines()
    assert lines[:2] == ["# with changes that no commit has", f"git checkout {COMMIT}"]
