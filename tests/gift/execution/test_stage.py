"""What stages share: an output is made once for the same inputs, and a fault is one line and a failed MLflow run."""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from stored_objects import delete_object, object_uri

from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from gift.execution.output import Output, content_digest
from gift.execution.stage import Stage, run_stage
from gift.storage import list_paths, read_manifest
from gift.storage.client import connect
from gift.tracking import start_parent_run
from gift.tracking.records import stage_records


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    return load_profile("local", (f"storage.uri={bucket_prefix}",))


@pytest.fixture
def parent(config: RunConfig) -> str:
    return start_parent_run(config, f"test-{uuid.uuid4().hex}")


def _run(function, config: RunConfig, parent: str, **inputs: str) -> str:
    return run_stage(function, config=config.model_dump_json(), run_id="r", parent_run_id=parent, **inputs)


def _output(settings: dict[str, str], **inputs: str) -> Output:
    return Output("texts", __name__, settings, inputs)


def make_text(stage: Stage, text: str, parents: str = "") -> str:
    def make(folder: Path) -> dict[str, str]:
        (folder / "text.txt").write_text(text)
        return {"length": str(len(text))}

    return stage.make_once(_output({"text": text}, **{name: name for name in parents.split()}), make)


def test_a_log_that_kfp_turns_on_has_no_word_of_the_libraries(
    config: RunConfig, parent: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        connect()
        assert "credentials" in caplog.text, "what botocore says of every client"
        caplog.clear()
        _run(make_text, config, parent, text="quiet")
    assert {record.name.partition(".")[0] for record in caplog.records} == {"gift"}


def test_the_same_inputs_are_made_once_and_other_inputs_again(config: RunConfig, parent: str, capsys) -> None:
    first = _run(make_text, config, parent, text="a", label="first")
    again = _run(make_text, config, parent, text="a", label="again")
    other = _run(make_text, config, parent, text="b", label="other")
    child = _run(make_text, config, parent, text="a", parents=first, label="child")
    assert first == again
    assert len({first, other, child}) == 3
    manifest = read_manifest(child)
    assert manifest is not None
    assert manifest.parents == (first,)
    assert manifest.metadata == {"length": "1"}
    assert manifest.decided_by["setting text"] == "a"
    assert manifest.decided_by[f"input {first}"] == content_digest(first)
    assert capsys.readouterr().out.count("unchanged, reused") == 1
    records = stage_records(parent)
    assert [name for name, record in records.items() if record.reused] == ["make-text-again"]
    assert records["make-text-first"].output == first
    assert records["make-text-first"].output_digest == content_digest(first)


def test_an_output_that_a_twin_finished_first_is_left_as_it_is(config: RunConfig, parent: str) -> None:
    def raced(stage: Stage, first: str) -> str:
        def make(folder: Path) -> dict[str, str]:
            if first:  # another run does the same work, and is done before us
                _run(raced, config, parent, first="", label="twin")
            (folder / "text.txt").write_text("ours" if first else "the twin's")
            return {"by": "us" if first else "the twin"}

        return stage.make_once(_output({"text": "raced"}), make)

    manifest = read_manifest(_run(raced, config, parent, first="yes"))
    assert manifest is not None
    assert manifest.metadata == {"by": "the twin"}


def test_two_identical_runs_at_once_end_with_one_output(config: RunConfig, parent: str) -> None:
    at_work = threading.Barrier(2)

    def make_at_once(stage: Stage) -> str:
        def make(folder: Path) -> dict[str, str]:
            at_work.wait(60)  # each has seen that the output is not there
            for name in range(8):
                (folder / f"{name}.txt").write_text(f"{stage.name} {name}")
            return {"by": stage.name}

        uri = stage.make_once(_output({"text": "at once"}), make)
        with stage.fetched(uri) as (folder,):
            writers = {path.read_text().split()[0] for path in folder.iterdir()}
        assert len(writers) == 1
        return uri

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_run, make_at_once, config, parent, label=label) for label in ("one", "two")]
    uri, other = (run.result() for run in runs)
    assert uri == other
    assert len({path.partition("/")[0] for path in list_paths(uri)} - {"manifest.json"}) == 1, "one attempt is left"


@pytest.mark.parametrize("gone", ["manifest.json", "text.txt", "text.txt manifest.json"])
def test_an_output_that_somebody_emptied_is_made_anew(
    config: RunConfig, parent: str, gone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = _run(make_text, config, parent, text="a", label="first")
    for path in gone.split():
        delete_object(object_uri(uri, path))
    assert _run(make_text, config, parent, text="a", label="again") == uri
    assert "reused" not in capsys.readouterr().out
    assert _run(make_text, config, parent, text="a", label="third") == uri
    assert "reused" in capsys.readouterr().out


def test_a_stage_names_its_output_before_it_looks_for_it(config: RunConfig, parent: str) -> None:
    """So that `gift gc` leaves alone what this stage finds there."""
    named: list[str | None] = []

    def look(stage: Stage) -> str:
        def make(folder: Path) -> dict[str, str]:
            named.append(stage_records(parent)["look"].output)
            (folder / "text.txt").write_text("made")
            return {}

        return stage.make_once(_output({"text": "looked for"}), make)

    assert [_run(look, config, parent)] == named


def test_an_input_that_is_not_complete_is_refused(config: RunConfig, parent: str, capsys) -> None:
    missing = f"{config.storage.uri}/nothing"
    with pytest.raises(SystemExit) as end:
        _run(make_text, config, parent, text="a", parents=missing)
    assert end.value.code == 1
    assert f"error: {missing} is not there or not complete" in capsys.readouterr().err
    assert stage_records(parent)["make-text"].status == "FAILED"


def test_a_stage_that_fails_leaves_no_output_and_one_line(config: RunConfig, parent: str, capsys) -> None:
    def half_done(stage: Stage) -> str:
        def make(folder: Path) -> dict[str, str]:
            (folder / "half.txt").write_text("half")
            raise GiftError("the second half is missing: \x1b[2J\n")

        return stage.make_once(_output({}), make)

    with pytest.raises(SystemExit):
        _run(half_done, config, parent)
    assert capsys.readouterr().err == "error: the second half is missing: \\x1b[2J\\n\n"
    with pytest.raises(SystemExit):  # it is not taken for done the second time
        _run(half_done, config, parent)


def test_a_full_disk_is_one_line(config: RunConfig, parent: str, capsys) -> None:
    def fill(stage: Stage) -> str:
        raise OSError(28, "No space left on device", "/somewhere/file")

    with pytest.raises(SystemExit):
        _run(fill, config, parent)
    assert capsys.readouterr().err.startswith("error: the disk is full (/somewhere/file)")


def test_a_fault_of_the_code_keeps_its_traceback(config: RunConfig, parent: str) -> None:
    def broken(stage: Stage) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _run(broken, config, parent)
    run = MlflowClient().search_runs(
        [MlflowClient().get_run(parent).info.experiment_id], "tags.`gift.stage` = 'broken'"
    )
    assert run[0].info.status == "FAILED"
