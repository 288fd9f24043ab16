"""A champion whose model is lost: said at the start of a run, no fault of the run, and no verdict."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from candidates import Candidates
from promotions import promote
from stored_objects import delete_object, object_uri, write_object

from gift import registry
from gift.stages.lifecycle import start_run
from gift.storage import delete_directory
from pipelines.machine.processes import free_ports


@pytest.fixture
def candidates(bucket_prefix: str, tmp_path: Path) -> Candidates:
    return Candidates(bucket_prefix, tmp_path)


def _by_hand(candidates: Candidates, source: str) -> None:
    """A champion that somebody registered and promoted without the gate."""
    name = candidates.config.registered_model
    version = registry.register_version(name, source, "", {}, "s3://gift/locks/by-hand")
    promote(name, version, instead_of=None)


def _by_hand_from_nowhere(candidates: Candidates) -> str:
    _by_hand(candidates, f"{candidates.config.storage.uri}/by-hand/model")
    return "is not whole, or not there"


def _by_hand_from_elsewhere(candidates: Candidates) -> str:
    _by_hand(candidates, "gs://elsewhere/models/mine")
    return "does not name a directory in S3"


def _no_bucket(candidates: Candidates) -> str:
    _by_hand(candidates, "s3://gone-for-good/models/attempt")
    return "bucket gone-for-good does not exist"


def _no_model(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    delete_directory(candidates.model)
    return "is not whole, or not there"


def _damaged_manifest(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    write_object(object_uri(candidates.model, "manifest.json"), b"[]")
    return "is not whole, or not there"


def _missing_object(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    delete_object(object_uri(candidates.model, "config.json"))
    return "is not whole, or not there"


@pytest.mark.parametrize(
    "break_champion",
    [_by_hand_from_nowhere, _by_hand_from_elsewhere, _no_bucket, _no_model, _damaged_manifest, _missing_object],
)
def test_a_champion_that_cannot_be_evaluated_is_known_at_the_start_and_fails_no_run(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], break_champion: Callable[[Candidates], str]
) -> None:
    expected = break_champion(candidates)
    champion = candidates.champion()
    assert champion is not None
    capsys.readouterr()
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert expected in warning
    assert "will stay challenger" in warning

    candidates.submit(sft=10, candidate=40)
    printed = capsys.readouterr().out
    verdict = candidates.verdict()
    assert verdict.decision == "undecided"
    assert verdict.champion is not None
    assert verdict.champion.version == champion
    assert expected in verdict.reasons[1]
    assert "/tmp" not in verdict.reasons[1]
    assert verdict.reasons[1] in printed
    assert "verdict: undecided. Undecided: there is a champion that the candidate can't be compared with." in printed
    assert candidates.champion() == champion


def test_the_report_says_that_nothing_could_be_compared(candidates: Candidates) -> None:
    expected = _by_hand_from_nowhere(candidates)
    written = candidates.report(candidates.submit(sft=10, candidate=40))
    assert (written.registry.alias, written.verdict.promoted) == ("challenger", False)
    assert written.verdict.decision == "undecided"
    assert expected in written.verdict.reasons[2]


def test_a_run_that_starts_with_a_usable_champion_or_none_is_not_warned(
    candidates: Candidates, capsys: pytest.CaptureFixture[str]
) -> None:
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    candidates.submit(sft=10, candidate=25)
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    assert "warning" not in capsys.readouterr().out


def test_an_outage_is_no_verdict(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates.submit(sft=10, candidate=25)
    (port,) = free_ports("127.0.0.1", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    with pytest.raises(SystemExit):
        start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    captured = capsys.readouterr()
    assert "error: cannot reach S3" in captured.err
    assert "warning" not in captured.out
