"""`gift promote`, `gift rollback` and `gift history`, on the real MLflow and S3 servers."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from heard_webhook import heard
from stored_objects import delete_object, object_uri, write_object
from stored_versions import StoredVersions
from typer.testing import CliRunner

from gift import registry
from gift.promotion.by_hand import Command, promote_version
from gift.tracking.client import MlflowClient
from pipelines.cli.main import app
from pipelines.machine.processes import free_ports


@pytest.fixture
def versions(bucket_prefix: str, tmp_path: Path) -> StoredVersions:
    return StoredVersions(bucket_prefix, tmp_path)


def gift(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The one line of a command that failed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1, result.output
    errors = [line for line in result.stderr.splitlines() if not line.startswith("using the MLflow and S3 servers")]
    assert len(errors) == 1, result.output
    return errors[0].removeprefix("error: ")


def promote(versions: StoredVersions, version: str, *options: str) -> str:
    return gift("promote", versions.name, "--version", version, "--reason", f"why {version}", *options)


def rollback(versions: StoredVersions, *options: str) -> str:
    return gift("rollback", versions.name, "--reason", "it got worse", *options)


def test_a_promotion_is_kept_with_its_reason(versions: StoredVersions) -> None:
    first, second = versions.add(), versions.add()
    assert f"champion of {versions.name}: version {first}\n" in promote(versions, first, "--expected", "none")
    assert f"version {second} instead of version {first}\n" in promote(versions, second, "--expected", first)
    assert "is champion already" in promote(versions, second)
    told = json.loads(gift("history", versions.name, "--json"))
    assert (told["model"], told["champion"]) == (versions.name, second)
    assert [(line["version"], line["instead_of"], line["reason"], line["kind"]) for line in told["history"]] == [
        (first, None, f"why {first}", "promotion"),
        (second, first, f"why {second}", "promotion"),
    ]
    printed = gift("history", versions.name)
    assert f"why {first}" in printed
    assert printed.endswith(f"champion of {versions.name}: {second}\n")


def test_rollbacks_go_back_step_by_step_or_where_they_are_told_to(versions: StoredVersions) -> None:
    first, second, third = (versions.add() for _ in range(3))
    for version in (first, second, third):
        promote(versions, version)
    rollback(versions)
    assert versions.champion() == second
    rollback(versions, "--expected", second)
    assert versions.champion() == first, "and not the third, which was taken back"
    assert "no earlier champion to go back to: version 1 is the first" in refused(
        "rollback", versions.name, "--reason", "r"
    )
    rollback(versions, "--to", third)
    assert versions.history()[3:] == [(second, "rollback"), (first, "rollback"), (third, "rollback")]


def test_a_champion_that_was_taken_away_by_hand_comes_back(versions: StoredVersions) -> None:
    first = versions.add()
    promote(versions, first)
    MlflowClient().rest.delete("registered-models/alias", name=versions.name, alias="champion")
    assert "somebody has moved the alias by hand" in gift("history", versions.name)
    rollback(versions)
    assert versions.history() == [(first, "promotion"), (None, "by hand"), (first, "rollback")]


def test_a_mistake_is_one_line_and_moves_nothing(versions: StoredVersions) -> None:
    first, second = versions.add(), versions.add()
    promote(versions, first)
    name, why = versions.name, ("--reason", "r")
    for arguments, message in (
        (("promote", "nobody's", "--version", "1", *why), 'MLflow has no registered model "nobody\'s"'),
        (("rollback", "nobody's", *why), "MLflow has no registered model"),
        (("history", "nobody's"), "MLflow has no registered model"),
        (("promote", name, "--version", "9", *why), f"{name} has no version 9; it has 1, 2"),
        (("promote", name, "--version", "champion", *why), "'champion' is no version"),
        (("promote", name, "--version", second, "--reason", " "), "--reason is empty"),
        (("promote", name, "--version", second, "--reason", "x" * 2000), "--reason must be one line of at most 1,500"),
        (("promote", name, "--version", second, "--reason", "a\x1b[2J"), "--reason must be one line"),
        (("promote", name, "--version", second, "--expected", "none", *why), "version 1 of .* and no version was exp"),
        (("promote", name, "--version", second, "--expected", second, *why), "version 1 .* and version 2 was expected"),
        (("rollback", name, "--expected", second, *why), "no earlier champion"),
        (("rollback", name, "--to", second, *why), "version 2 of .* never was champion"),
        (("rollback", name, "--to", "9", *why), "has no version 9"),
    ):
        assert re.search(message, refused(*arguments)), arguments
    assert versions.history() == [(first, "promotion")]


def test_what_the_gate_was_against_needs_force(versions: StoredVersions) -> None:
    good, bad, unjudged, unclear = (
        versions.add(),
        versions.add(gate="keep"),
        versions.add(gate=None),
        versions.add(gate="undecided"),
    )
    promote(versions, good)
    command = ("promote", versions.name, "--reason", "r", "--version")
    assert refused(*command, bad).startswith(
        f"the gate was against version {bad} of {versions.name}: Decided. It solves less. "
    )
    assert refused(*command, unjudged).startswith(f"no gate has judged version {unjudged}")
    lost = versions.add(tags={registry.VERDICT_TAG: f"{versions.storage}/nowhere/verdict"})
    assert "can't be read" in refused(*command, lost)
    assert versions.champion() == good
    promote(versions, unclear)  # a human has to decide: that is what the verdict says
    for version in (bad, unjudged, lost):
        promote(versions, version, "--force")
        assert versions.champion() == version


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, np.nan], np.float32),
        np.array([[np.inf]], np.float64),
        np.array([-np.inf, 0], np.float16),
        np.concatenate([np.zeros(2**23, np.float32), np.array([np.nan], np.float32)]),  # beyond the first piece
    ],
    ids=["NaN", "inf in float64", "-inf in float16", "NaN far behind"],
)
def test_weights_that_are_not_finite_are_never_promoted(versions: StoredVersions, values: np.ndarray) -> None:
    good = versions.add(weights={"a": np.array([3e38, -1e-45], np.float32), "b": np.array([7], np.int64)})
    sick = versions.add(weights={"a": np.ones(3, np.float32), "b": values})
    promote(versions, good)
    message = refused("promote", versions.name, "--version", sick, "--reason", "r", "--force")
    assert re.search(r"model-b\.safetensors has weights that are no finite numbers \(b\)", message)
    MlflowClient().set_registered_model_alias(versions.name, "champion", sick)  # somebody did it by hand
    promote(versions, good)
    assert "no finite numbers" in refused("rollback", versions.name, "--to", sick, "--reason", "r")
    assert versions.history() == [(good, "promotion"), (sick, "by hand"), (good, "promotion")]


def _remove_manifest(versions: StoredVersions) -> None:
    delete_object(object_uri(versions.source.rpartition("/")[0], "manifest.json"))


def _remove_file(versions: StoredVersions) -> None:
    delete_object(f"{versions.source}/model-a.safetensors")


def _cut_short(versions: StoredVersions) -> None:
    write_object(f"{versions.source}/model-a.safetensors", b"short")


def _change_a_byte(versions: StoredVersions) -> None:
    write_object(f"{versions.source}/config.json", b'{"number": 7}')


def test_what_is_no_checkpoint_is_never_promoted(versions: StoredVersions) -> None:
    by_hand = registry.register_version(versions.name, "s3://gift/somewhere/by-hand", "", {}, versions.lock)
    good = versions.add()
    cases = {by_hand: "is not there, or not whole"}
    for damage, message in (
        (_remove_manifest, "is not there, or not whole"),
        (_remove_file, "is not there, or not whole"),
        (_cut_short, "is not there, or not whole"),
        (_change_a_byte, "is damaged"),
    ):
        cases[versions.add()] = message
        damage(versions)
    promote(versions, good)
    for version, message in cases.items():
        assert message in refused("promote", versions.name, "--version", version, "--reason", "r", "--force")
    assert versions.history() == [(good, "promotion")]


def test_twenty_people_at_once_end_with_one_champion_and_a_whole_history(versions: StoredVersions) -> None:
    everybody = [versions.add() for _ in range(20)]

    def command(version: str) -> bool:
        wanted = Command(versions.name, f"why {version}", registry.ANYONE)
        return promote_version(wanted, version, lambda line: None, force=False) is not None

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(command, everybody))
    history = json.loads(gift("history", versions.name, "--json"))
    lines = history["history"]
    assert sorted(line["version"] for line in lines) == sorted(everybody)
    assert [line["instead_of"] for line in lines] == [None, *(line["version"] for line in lines[:-1])]
    assert history["champion"] == lines[-1]["version"]


def test_the_webhook_is_told_who_became_champion_and_why(
    versions: StoredVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = versions.add(solved=20), versions.add(solved=30)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with heard() as (url, messages):
        monkeypatch.setenv("GIFT_WEBHOOK_URL", url)
        promote(versions, first)
        assert "told the webhook" in promote(versions, second)
        rollback(versions)
        promote(versions, first)  # is champion: nothing to tell
    assert [(message["version"], message["kind"]) for message in messages] == [
        (first, "promotion"), (second, "promotion"), (first, "rollback"),
    ]  # fmt: skip
    told = messages[1]
    assert told == {
        "event": "champion changed",
        "model": versions.name,
        "version": second,
        "instead_of": first,
        "kind": "promotion",
        "reason": f"why {second}",
        "by": told["by"],
        "at": told["at"],
        "source": versions.source,
        "scores": {"heldout": {"accuracy": 0.75, "stderr": 0.1, "n": 40}},
        "report": f"{versions.storage}/runs/run-2/report",
        "run_id": "run-2",
    }


def test_a_webhook_that_is_away_or_scores_that_are_lost_do_not_keep_a_version_from_being_champion(
    versions: StoredVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = versions.add(tags={registry.EVALUATION_TAG: f"{versions.storage}/nowhere"})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with heard() as (url, messages):
        monkeypatch.setenv("GIFT_WEBHOOK_URL", url)
        assert "warning: the webhook is told no scores" in promote(versions, lost)
    assert [(message["version"], message["scores"]) for message in messages] == [(lost, {})]
    again = versions.add()
    assert "warning: the webhook at 127.0.0.1 was not reached" in promote(versions, again)
    assert versions.history() == [(lost, "promotion"), (again, "promotion")]


@pytest.mark.parametrize(
    ("variable", "message"),
    [("MLFLOW_TRACKING_URI", "MLflow at {host} does not answer"), ("AWS_ENDPOINT_URL_S3", "cannot reach S3 at {host}")],
)
def test_servers_that_are_away_are_one_line(
    versions: StoredVersions, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    first = versions.add()
    promote(versions, first)
    second = versions.add()
    host = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with monkeypatch.context() as away:
        away.setenv(variable, f"http://{host}")
        for command in (
            ("promote", versions.name, "--version", second, "--force"),
            ("rollback", versions.name, "--to", first),
        ):
            assert message.format(host=host) in refused(*command, "--reason", "r")
    assert versions.champion() == first
