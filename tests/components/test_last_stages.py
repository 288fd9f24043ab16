"""The last task of every pipeline closes the run: where KFP retries it, no exit handler comes after it."""

import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl
from mlflow.tracking import MlflowClient

from gift.config import load_profile
from gift.execution.stage import Stage
from gift.stages.lifecycle import start_run
from pipelines.check_normalization import check_normalization
from pipelines.experiment import build_pipeline
from pipelines.experiments.experiment import Experiment, Variant, plan_experiment
from pipelines.local.services import Services
from pipelines.post_training import post_training

TWO = Experiment(
    name="two",
    title="Two",
    question="Which?",
    variants=(Variant("gift", "GIFT"), Variant("grpo", "GRPO", ("algorithm=grpo",))),
    baseline="gift",
    multipliers=(1.0,),
)
PIPELINES: dict[str, Callable[[], Any]] = {
    "post-training": lambda: post_training,
    "check-normalization": lambda: check_normalization,
    "experiment": lambda: build_pipeline(plan_experiment(TWO, "local", seeds=(0, 1), tuning_seed=0)),
}
DICTIONARY = "STRUCT"


def last_component(pipeline: Any, file: Path) -> tuple[str, dict[str, str], list[str]]:
    """The component of the task that all others come before, its inputs with their types, and its artifacts."""
    compiler.Compiler().compile(pipeline, str(file))
    specification = next(yaml.safe_load_all(file.read_text()))
    tasks = specification["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    followed = {before for task in tasks.values() for before in task.get("dependentTasks", [])}
    (last,) = tasks.keys() - followed
    component = specification["components"][tasks[last]["componentRef"]["name"]]
    inputs = component["inputDefinitions"]["parameters"]
    executor = specification["deploymentSpec"]["executors"][component["executorLabel"]]
    name = executor["container"]["args"][-1]
    artifacts = list(component["outputDefinitions"].get("artifacts", {}))
    return name, {key: value["parameterType"] for key, value in inputs.items()}, artifacts


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_last_task_of_a_pipeline_closes_its_run(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    name, inputs, artifacts = last_component(PIPELINES[pipeline](), tmp_path / "pipeline.yaml")

    def work(stage: Stage, **_inputs: object) -> str:
        return f"made by {stage.name}"

    monkeypatch.setattr(importlib.import_module(f"gift.stages.{name}"), name, work)
    component = getattr(importlib.import_module(f"components.{name}.component"), name)
    config, run_id = load_profile("local").model_dump_json(), f"last-{name}-{time.time_ns()}"
    parent = start_run(config, run_id)
    arguments: dict[str, Any] = {key: {} if kind == DICTIONARY else json.dumps(key) for key, kind in inputs.items()}
    arguments |= {"config": config, "run_id": run_id, "parent_run_id": parent}
    shown = {key: dsl.Artifact(uri=str(tmp_path / key)) for key in artifacts}
    assert component.python_func(**arguments, **shown) == "made by work"
    assert MlflowClient().get_run(parent).info.status == "FINISHED"
