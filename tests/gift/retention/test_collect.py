"""What `gift gc` finds and removes, beside runs and versions that the real MLflow and S3 know."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_proxy import faulty_proxy
from promotions import promote
from stored_objects import write_object

from gift import registry
from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from gift.execution.output import Output, OutputKind
from gift.execution.stage import Stage, run_stage
from gift.retention import collect
from gift.retention.collect import remove_leftovers
from gift.retention.leftovers import StoreSurvey, survey_store
from gift.retention.needed import Books, RetentionRule
from gift.storage import delete_paths, download_directory, list_paths, read_manifest, whole_manifest
from gift.tracking import finish_parent_run, start_parent_run
from pipelines.local.services import Services

LOCK = "s3://gift/locks/test-collect"
NOTHING = RetentionRule(days=-1, runs=0, grace_seconds=-10)
"""Keeps no run that is over, and takes everything for old: S3 counts in whole seconds, so below zero."""


class Run:
    """A run of a small pipeline with the real stages' ways: data → model → evaluation, and a verdict of its own."""

    def __init__(self, config: RunConfig, name: str) -> None:
        self.config, self.name = config, name
        self.run_id = f"test-{uuid.uuid4().hex}"
        self.parent = start_parent_run(config, self.run_id)
        self.shared = {"config": config.model_dump_json(), "run_id": self.run_id, "parent_run_id": self.parent}
        self.data = self.make("data", "shared")
        self.model = self.make("models", name, data=self.data)
        self.evaluation = self.make("evaluations", name, data=self.data, model=self.model, afterwards=self._judge)

    def _judge(self, stage: Stage, evaluation: str) -> None:
        def make(folder: Path) -> dict[str, str]:
            (folder / "text.txt").write_text("for it")
            return {}

        self.verdict = stage.make_for_run("verdict", [evaluation], make)

    @property
    def outputs(self) -> set[str]:
        return {self.data, self.model, self.evaluation, self.verdict}

    def make(
        self, kind: OutputKind, text: str, afterwards: Callable[[Stage, str], object] = lambda *_: None, **inputs: str
    ) -> str:
        def make_one(stage: Stage) -> str:
            def make(folder: Path) -> dict[str, str]:
                (folder / "text.txt").write_text(text)
                return {}

            uri = stage.make_once(Output(kind, __name__, {"text": text}, inputs), make)
            afterwards(stage, uri)
            return uri

        return run_stage(make_one, label=kind, **self.shared)

    def end(self) -> "Run":
        finish_parent_run(self.parent, "FINISHED", None)
        return self

    def register(self, **tags: str) -> str:
        manifest = read_manifest(self.model)
        assert manifest is not None
        return registry.register_version(
            self.config.registered_model,
            manifest.folder(self.model),
            self.parent,
            {"gift.evaluation": self.evaluation, "gift.verdict": self.verdict, "gift.run_id": self.run_id, **tags},
            LOCK,
        )


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return load_profile("local", (f"storage.uri={bucket_prefix}", f"registered_model={name}", f"experiment={name}"))


def gc(config: RunConfig, rule: RetentionRule = NOTHING) -> set[str]:
    """The directories that were removed."""
    storage = config.storage.uri
    survey = survey_store(storage, rule)
    return {f"{storage}/{leftover.place}" for leftover in remove_leftovers(storage, survey, rule)}


def is_whole(*uris: str) -> bool:
    return all(whole_manifest(uri) is not None for uri in uris)


def is_gone(*uris: str) -> bool:
    return not any(list_paths(uri) for uri in uris)


def test_what_an_old_run_made_goes_and_is_made_anew_by_the_next(config: RunConfig) -> None:
    old = Run(config, "a").end()
    assert is_whole(*old.outputs)
    found = survey_store(config.storage.uri, NOTHING)
    assert {f"{config.storage.uri}/{leftover.place}" for leftover in found.leftovers} == {
        *(old.outputs - {old.verdict}),
        f"{config.storage.uri}/runs/{old.run_id}",
    }
    assert is_whole(*old.outputs), "a look removes nothing"

    assert len(gc(config)) == 4
    assert is_gone(*old.outputs)
    assert list_paths(config.storage.uri) == []
    again = Run(config, "a")
    assert again.outputs - {again.verdict} == old.outputs - {old.verdict}
    assert is_whole(*again.outputs)


def test_all_that_a_history_of_champions_points_to_stays(config: RunConfig) -> None:
    champions = [Run(config, f"champion {number}").end() for number in range(3)]
    reigning = None
    for run in champions:
        version = run.register()
        promote(config.registered_model, version, instead_of=reigning)
        reigning = version
    challenger = Run(config, "challenger").end()
    registry.set_challenger(config.registered_model, challenger.register())
    other = Run(config, "nobody's").end()

    gc(config)
    for run in (*champions, challenger):
        assert is_whole(*run.outputs)
    assert is_whole(other.data), "an input of the champions, too"
    assert is_gone(*(other.outputs - {other.data}))


def test_a_version_of_another_model_and_a_tag_of_a_person_count_as_well(config: RunConfig) -> None:
    noted, served = Run(config, "noted").end(), Run(config, "served").end()
    other = config.model_copy(update={"registered_model": f"{config.registered_model}-other"})
    registry.register_version(other.registered_model, f"{served.model}/", served.parent, {}, LOCK)
    elsewhere = "s3://somewhere-else/models/0123456789abcdef"
    registry.register_version(
        other.registered_model, elsewhere, served.parent, {"compare": f"with {noted.evaluation}, again"}, LOCK
    )

    gc(config)
    assert is_whole(served.model, noted.evaluation, noted.model, noted.data)
    assert is_gone(served.evaluation, served.verdict, noted.verdict)


def test_what_a_run_under_way_has_named_stays(config: RunConfig) -> None:
    running, failed = Run(config, "running"), Run(config, "failed")
    finish_parent_run(failed.parent, "FAILED", "gate")
    write_object(f"{config.storage.uri}/runs/{running.run_id}/resume/train-sft/0123/step-1/node-0/part", b"half")
    gc(config)
    assert is_whole(*running.outputs)
    assert list_paths(f"{config.storage.uri}/runs/{running.run_id}/resume")
    assert is_gone(*(failed.outputs - running.outputs))


def test_a_stage_that_is_tried_again_keeps_what_its_closed_run_needs(config: RunConfig) -> None:
    """KFP's «Retry» starts what failed, and not the first task, which would open the run."""
    run = Run(config, "a").end()
    run.make("evaluations", "tried again", afterwards=lambda *_: gc(config), model=run.model)
    assert is_whole(*run.outputs)


def test_the_rule_keeps_the_newest_runs_and_those_of_some_days(config: RunConfig) -> None:
    runs = [Run(config, f"run {number}").end() for number in range(3)]
    assert not gc(config, replace(NOTHING, days=1)), "all were active today"
    assert gc(config, replace(NOTHING, runs=2))
    assert is_whole(*runs[1].outputs, *runs[2].outputs)
    assert is_gone(*(runs[0].outputs - {runs[0].data}))


def test_what_is_young_is_never_touched(config: RunConfig) -> None:
    run = Run(config, "a").end()
    write_object(f"{config.storage.uri}/models/0123456789abcdef/{uuid.uuid4().hex}/part", b"on its way")
    before = list_paths(config.storage.uri)
    assert not gc(config, RetentionRule(days=0, runs=0))
    assert list_paths(config.storage.uri) == before
    assert is_whole(*run.outputs)


def test_what_lost_and_dead_attempts_left_goes_and_the_one_that_counts_stays(config: RunConfig, tmp_path: Path) -> None:
    storage = config.storage.uri
    run = Run(config, "a").end()
    run.register()
    lost = [f"{uri}/{uuid.uuid4().hex}/text.txt" for uri in (run.model, run.verdict)]
    dead = f"{storage}/checkpoints/0123456789abcdef/{uuid.uuid4().hex}/part"
    for uri in (*lost, dead):
        write_object(uri, b"left")
    assert len(gc(config)) == 3
    assert is_gone(*(uri.rpartition("/")[0] for uri in (*lost, dead)))
    assert is_whole(*run.outputs)
    for index, uri in enumerate(run.outputs):
        download_directory(uri, tmp_path / str(index))


def test_nothing_else_in_the_bucket_is_touched(config: RunConfig, tmp_path: Path) -> None:
    storage = config.storage.uri
    Run(config, "a").end()
    others = [
        *("mlflow/1/0123456789abcdef0123456789abcdef/artifacts/model", "kfp/v2/artifacts/x", "notes.txt"),
        *("mirror/models/org/name@0123/manifest.json", "locks/champion/x", "models/by-hand/model.safetensors"),
        *("team/data/0123456789abcdef/manifest.json", "datasets/0123456789abcdef/x"),
    ]
    for path in others:
        write_object(f"{storage}/{path}", b"somebody's")
    assert gc(config)
    assert sorted(list_paths(storage)) == sorted(others)


def test_a_server_that_knows_nothing_of_the_store_is_not_believed(config: RunConfig, bucket_prefix: str) -> None:
    unknown = config.model_copy(update={"storage": config.storage.model_copy(update={"uri": f"{bucket_prefix}/other"})})
    write_object(f"{bucket_prefix}/other/models/0123456789abcdef/manifest.json", b"{}")
    with pytest.raises(GiftError, match="MLFLOW_TRACKING_URI"):
        gc(unknown)


def test_a_damaged_manifest_of_what_is_needed_stops_it(config: RunConfig) -> None:
    run, other = Run(config, "a").end(), Run(config, "b").end()
    run.register()
    write_object(f"{run.data}/manifest.json", b"{")
    with pytest.raises(GiftError, match=r"data/.*/manifest\.json is damaged"):
        gc(config)
    assert is_whole(*(other.outputs - {run.data}))


# --- while others work ----------------------------------------------------------------------------------------------


def test_a_run_that_found_an_output_since_the_survey_keeps_it(config: RunConfig) -> None:
    old = Run(config, "a").end()
    survey = survey_store(config.storage.uri, NOTHING)
    gone: set[str] = set()

    def collect_now(*_: object) -> None:
        gone.update(leftover.place for leftover in remove_leftovers(config.storage.uri, survey, NOTHING))

    starting = Run(config, "b")
    assert starting.make("models", "a", afterwards=collect_now, data=old.data) == old.model
    assert gone
    assert is_whole(old.model, *starting.outputs)
    assert is_gone(old.evaluation, old.verdict)


def test_a_run_that_comes_after_the_last_look_waits_and_makes_it_anew(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Run(config, "a").end()
    storage = config.storage.uri
    survey = survey_store(storage, NOTHING)
    former = read_manifest(old.model)
    look = collect.read_books
    with ThreadPoolExecutor(1) as pool:
        started: list[Future[Run]] = []

        def look_then_let_a_run_start(storage: str) -> Books:
            books = look(storage)
            started.append(pool.submit(Run, config, "a"))
            time.sleep(3)
            return books

        monkeypatch.setattr(collect, "read_books", look_then_let_a_run_start)
        assert len(list(remove_leftovers(storage, survey, NOTHING))) == 4
        run = started[0].result()
    assert is_whole(*run.outputs)
    now = read_manifest(run.model)
    assert former is not None
    assert now is not None
    assert run.model == old.model
    assert now.attempt != former.attempt
    assert len(list_paths(old.model)) == 2, "what was there before is gone"


def test_a_removal_that_is_killed_is_finished_by_the_next(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(config, "a").end()
    removed: list[str] = []

    def die_the_second_time(uri: str, paths: Iterable[str]) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.extend(paths)
        delete_paths(uri, removed)

    with monkeypatch.context() as killed:
        killed.setattr(collect, "delete_paths", die_the_second_time)
        with pytest.raises(KeyboardInterrupt):
            gc(config)
    assert {path.rpartition("/")[2] for path in removed} == {"manifest.json"}
    assert list_paths(config.storage.uri)
    gc(config)
    assert list_paths(config.storage.uri) == []


def test_what_was_made_anew_since_the_survey_stays(config: RunConfig) -> None:
    old = Run(config, "a").end()
    survey = survey_store(config.storage.uri, NOTHING)
    gc(config)
    again = Run(config, "a").end()
    removed = {leftover.place for leftover in remove_leftovers(config.storage.uri, survey, NOTHING)}
    assert removed == set()
    assert is_whole(*again.outputs)
    assert is_gone(old.verdict)


def test_several_at_once_and_runs_beside_them(config: RunConfig) -> None:
    kept = Run(config, "kept").end()
    kept.register()
    Run(config, "old").end()
    done = threading.Event()

    def collect_again() -> None:
        while not done.is_set():
            gc(config)

    with ThreadPoolExecutor(2) as pool:
        collecting = [pool.submit(collect_again) for _ in range(2)]
        try:
            for _ in range(2):  # each finds what the one before made, or does not
                run = Run(config, "old")
                assert is_whole(*run.outputs)
                run.end()
        finally:
            done.set()
        for future in collecting:
            future.result()
    gc(config)
    assert is_whole(*kept.outputs)
    left = {path.rpartition("/")[0] for path in list_paths(config.storage.uri) if not path.startswith("locks/")}
    assert {f"{config.storage.uri}/{path}" for path in left if len(path.split("/")) == 2} <= kept.outputs


def test_a_tracker_that_goes_away_at_the_last_look_costs_nothing(
    config: RunConfig, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Run(config, "a").end()
    survey: StoreSurvey = survey_store(config.storage.uri, NOTHING)
    with faulty_proxy(services.mlflow_port) as proxy, monkeypatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{proxy.port}")
        environment.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        proxy.fault_of = lambda _method, _path: "away"
        with pytest.raises(GiftError, match="MLflow"):
            list(remove_leftovers(config.storage.uri, survey, NOTHING))
    assert is_whole(*old.outputs)
