"""A champion that nothing can be compared with: said at the start of a run, and no fault of the run."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from candidates import PROBLEMS, Candidates, made_up_result
from promotions import promote
from stored_objects import delete_object, object_uri, write_object

from gift import registry
from gift.evaluation.results import RESULTS_FILE
from gift.registry import EVALUATION_TAG
from gift.stages.lifecycle import start_run
from gift.storage import delete_directory, upload_directory
from pipelines.machine.processes import free_ports


@pytest.fixture
def candidates(bucket_prefix: str, tmp_path: Path) -> Candidates:
    return Candidates(bucket_prefix, tmp_path)


def _by_hand(candidates: Candidates, tags: dict[str, str]) -> str:
    """A champion that somebody registered and promoted without the gate."""
    name = candidates.config.registered_model
    version = registry.register_version(
        name, f"{candidates.config.storage.uri}/by-hand", "", tags, "s3://gift/locks/by-hand"
    )
    promote(name, version, instead_of=None)
    return version


def _no_tag(candidates: Candidates) -> str:
    _by_hand(candidates, {})
    return "has no tag gift.evaluation"


def _no_address(candidates: Candidates) -> str:
    _by_hand(candidates, {EVALUATION_TAG: "/home/me/results"})
    return "does not name a directory in S3"


def _no_bucket(candidates: Candidates) -> str:
    _by_hand(candidates, {EVALUATION_TAG: "s3://gone-for-good/evaluation"})
    return "bucket gone-for-good does not exist"


def _no_evaluation(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    delete_directory(candidates.candidate_results)
    return "is not complete"


def _damaged_evaluation(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, b"{}")
    return "its manifest says"


def _damaged_manifest(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, b"[]", "manifest.json")
    return "manifest.json is not valid"


def _missing_object(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, None)
    return "is missing although the manifest lists it"


def _another_file(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    return _replace_evaluation(candidates, "scores.json", "{}", "do not exist")


def _older_schema(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    old = made_up_result(25).model_dump(mode="json")
    del old["settings"]["precision"]
    return _replace_evaluation(candidates, RESULTS_FILE, json.dumps({"heldout": old}), "heldout.settings.precision")


def _impossible_scores(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    foreign = made_up_result(25).model_dump(mode="json") | {"correct": [63.2] * PROBLEMS}
    return _replace_evaluation(candidates, RESULTS_FILE, json.dumps({"heldout": foreign}), "heldout.correct.0")


def _another_benchmark(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    candidates.evaluation("candidate", {"gsm8k": made_up_result(25, task="gsm8k")})
    return "was not evaluated on heldout, only on gsm8k"


def _another_benchmark_under_the_name(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    candidates.evaluation("candidate", {"heldout": made_up_result(25, task="gsm8k")})
    return "was not evaluated on heldout"


def _replace_evaluation(candidates: Candidates, name: str, text: str, expected: str) -> str:
    folder = candidates.folder / f"foreign-{uuid.uuid4().hex}"
    folder.mkdir()
    (folder / name).write_text(text)
    upload_directory(folder, candidates.candidate_results, replace=True)
    return expected


def _overwrite(uri: str, content: bytes | None, name: str = RESULTS_FILE) -> None:
    """Change one object behind the manifest's back, or delete it."""
    if content is None:
        delete_object(object_uri(uri, name))
    else:
        write_object(object_uri(uri, name), content)


@pytest.mark.parametrize(
    "break_champion",
    [
        _no_tag,
        _no_address,
        _no_bucket,
        _no_evaluation,
        _damaged_evaluation,
        _damaged_manifest,
        _missing_object,
        _another_file,
        _older_schema,
        _impossible_scores,
        _another_benchmark,
        _another_benchmark_under_the_name,
    ],
)
def test_a_champion_that_cannot_be_compared_is_known_at_the_start_and_fails_no_run(
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
    assert (verdict.promote, verdict.comparable) == (False, False)
    assert verdict.champion is not None
    assert verdict.champion.version == champion
    assert expected in verdict.reasons[1]
    assert "/tmp" not in verdict.reasons[1]
    assert verdict.reasons[1] in printed
    assert "verdict: not comparable, the candidate stays challenger" in printed
    assert candidates.champion() == champion


def test_the_report_says_that_nothing_could_be_compared(candidates: Candidates) -> None:
    expected = _no_tag(candidates)
    written = candidates.report(candidates.submit(sft=10, candidate=40))
    assert (written.registry.alias, written.verdict.promoted) == ("challenger", False)
    assert expected in written.verdict.reasons[1]


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
