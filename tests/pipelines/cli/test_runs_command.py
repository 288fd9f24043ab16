"""`gift gc` shows, and with `--delete` removes."""

import functools
import uuid

import pytest
from stored_objects import write_object
from typer.testing import CliRunner

from gift.config import load_profile
from gift.retention.needed import RetentionRule
from gift.storage import list_paths
from gift.tracking import finish_parent_run, start_parent_run
from pipelines.cli import runs
from pipelines.cli.main import app


@pytest.fixture
def storage(bucket_prefix: str) -> str:
    """With what a run left that is over, and that no stage of MLflow's knows."""
    config = load_profile("local", (f"storage.uri={bucket_prefix}",))
    finish_parent_run(start_parent_run(config, f"test-{uuid.uuid4().hex}"), "FINISHED", None)
    write_object(f"{bucket_prefix}/models/0123456789abcdef/{uuid.uuid4().hex}/part", b"left by a writer that died")
    return bucket_prefix


def gift_gc(storage: str, *options: str) -> list[str]:
    result = CliRunner().invoke(app, ["gc", "--profile", "local", "--set", f"storage.uri={storage}", *options])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_it_shows_first_and_removes_when_it_is_told_to(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gift_gc(storage, "--delete") == ["kept        1 (too young)", "in all      0 things, 0.00 GiB"]
    monkeypatch.setattr(runs, "RetentionRule", functools.partial(RetentionRule, grace_seconds=-10))
    there = list_paths(storage)
    leftover = f"{storage}/models/0123456789abcdef  0.00 GiB, 0 days old, needed by nobody"
    assert gift_gc(storage) == [
        f"not needed  {leftover}",
        "in all      1 things, 0.00 GiB; with --delete they are removed",
    ]
    assert list_paths(storage) == there
    assert gift_gc(storage, "--delete") == [f"removed     {leftover}", "in all      1 things, 0.00 GiB"]
    assert list_paths(storage) == []


def test_a_store_that_mlflow_knows_nothing_of_is_one_line(bucket_prefix: str) -> None:
    options = ["gc", "--profile", "local", "--set", f"storage.uri={bucket_prefix}"]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 1
    assert "knows no run that stored anything in" in result.stderr
    assert "Traceback" not in result.output
