"""The compiled pipeline: its stages, their order, and what must never be in it."""

import pytest
import yaml
from kfp import compiler

from pipelines.post_training import post_training


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compiler.Compiler().compile(post_training, str(path))
    return next(yaml.safe_load_all(path.read_text()))


def _tasks(specification: dict) -> dict:
    return specification["components"]["comp-exit-handler-1"]["dag"]["tasks"]


def _needs(specification: dict, task: str) -> set[str]:
    """All tasks that come before `task`."""
    direct = set(_tasks(specification)[task].get("dependentTasks", []))
    return direct.union(*(_needs(specification, other) for other in direct))


def test_every_stage_is_there_and_runs_in_one_order(specification: dict) -> None:
    order = [
        "start-run",
        "prepare-data",
        "prepare-model",
        "train-sft",
        "convert",
        "train-policy",
        "convert-2",
        "evaluate",
        "evaluate-2",
        "evaluate-3",
        "evaluate-champion",
        "gate",
        "register",
        "report",
    ]
    assert set(_tasks(specification)) == set(order)
    for position, task in enumerate(order):
        assert _needs(specification, task) == set(order[:position])


def test_the_run_is_closed_however_it_ends(specification: dict) -> None:
    finish = specification["root"]["dag"]["tasks"]["finish-run"]
    assert finish["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert finish["dependentTasks"] == ["exit-handler-1"]


def test_no_stage_installs_anything_or_carries_the_environment(specification: dict) -> None:
    for executor in specification["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert "pip install" not in " ".join(container["command"])
        assert "env" not in container


def test_between_stages_travel_words_and_no_artifacts(specification: dict) -> None:
    for name, component in specification["components"].items():
        assert "artifacts" not in component.get("inputDefinitions", {}), name


def test_a_page_of_the_run_shows_models_data_scores_and_report(specification: dict) -> None:
    shown = {
        (name.removeprefix("comp-"), artifact["artifactType"]["schemaTitle"])
        for name, component in specification["components"].items()
        for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()
    }
    models = {"prepare-model", "train-sft", "train-policy", "convert", "convert-2"}
    evaluations = {"evaluate", "evaluate-2", "evaluate-3"}
    assert shown == {
        ("prepare-data", "system.Dataset"),
        *((stage, "system.Model") for stage in models),
        *((stage, "system.Metrics") for stage in evaluations),
        ("report", "system.HTML"),
        ("report", "system.Metrics"),
    }
