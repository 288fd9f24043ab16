"""The DAG of an experiment: all its tasks in one line, each with a name and a configuration of its own, and no If."""

import json
import re

import pytest
import yaml
from kfp import compiler

from gift.config import parse_config
from gift.report.comparison.plan import ExperimentPlan
from pipelines.experiment import build_pipeline
from pipelines.experiments.experiment import Experiment, PlannedExperiment, Variant, plan_experiment

TWO = Experiment(
    name="two",
    title="Two",
    question="Which?",
    variants=(Variant("gift", "GIFT"), Variant("grpo", "GRPO", ("algorithm=grpo",))),
    baseline="gift",
    multipliers=(1.0, 2.0),
)
START = ["prepare-data-seed{0}", "prepare-model-seed{0}", "train-sft-seed{0}", "convert-sft-seed{0}"]
START += ["evaluate-sft-seed{0}"]
TRIAL = ["train-policy-{0}", "convert-{0}", "evaluate-{0}"]


@pytest.fixture(scope="module")
def tuned() -> PlannedExperiment:
    return plan_experiment(TWO, "local", seeds=(0, 1), tuning_seed=0)


@pytest.fixture(scope="module")
def specification(tuned: PlannedExperiment, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return _compile(tuned, tmp_path_factory)


def _compile(planned: PlannedExperiment, tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compiler.Compiler().compile(build_pipeline(planned), str(path))
    return next(yaml.safe_load_all(path.read_text()))


def _tasks(specification: dict) -> dict[str, dict]:
    """Tasks by the name that the platform shows."""
    tasks = specification["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    shown = {task["taskInfo"]["name"]: task for task in tasks.values()}
    assert len(shown) == len(tasks)
    return shown


def _line(specification: dict) -> list[str]:
    """Names in the order of their dependencies, which must leave no choice."""
    tasks = specification["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    needs = {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()}
    line: list[str] = []
    while len(line) < len(needs):
        (ready,) = [name for name in needs if name not in line and needs[name] <= set(line)]
        line.append(ready)
    return [tasks[name]["taskInfo"]["name"] for name in line]


def _fill(templates: list[str], value: object) -> list[str]:
    return [template.format(value) for template in templates]


def test_the_tasks_form_one_line(specification: dict) -> None:
    expected = ["start-run", *_fill(START, 0)]
    for variant in ("gift", "grpo"):
        expected += [*_fill(TRIAL, f"{variant}-lr0.0006-seed0"), *_fill(TRIAL, f"{variant}-lr0.0012-seed0")]
        expected.append(f"choose-learning-rate-{variant}")
    # The second seed is prepared where it is first needed.
    expected += ["configure-gift-seed0", *_fill(TRIAL, "gift-seed0")]
    expected += ["configure-grpo-seed0", *_fill(TRIAL, "grpo-seed0")]
    expected += ["configure-gift-seed1", *_fill(START, 1), *_fill(TRIAL, "gift-seed1")]
    expected += ["configure-grpo-seed1", *_fill(TRIAL, "grpo-seed1"), "compare-two"]
    assert _line(specification) == expected


def test_every_task_has_the_configuration_of_its_trial(tuned: PlannedExperiment, specification: dict) -> None:
    tasks = _tasks(specification)
    for (variant, seed, rate), config in tuned.trials.items():
        name = f"{variant}-seed{seed}" if seed == 1 else f"{variant}-lr{rate:g}-seed{seed}"
        task = tasks[f"configure-{name}" if seed == 1 else f"train-policy-{name}"]
        constant = task["inputs"]["parameters"]["config"]["runtimeValue"]["constant"]
        assert parse_config(constant) == config


def test_the_chosen_rate_reaches_every_seed_as_a_word(specification: dict) -> None:
    tasks = _tasks(specification)
    for seed in (0, 1):
        rate = tasks[f"configure-gift-seed{seed}"]["inputs"]["parameters"]["learning_rate"]["taskOutputParameter"]
        assert rate["producerTask"] == "choose-learning-rate"
        for stage in ("train-policy", "convert", "evaluate"):
            config = tasks[f"{stage}-gift-seed{seed}"]["inputs"]["parameters"]["config"]["taskOutputParameter"]
            assert config["producerTask"].startswith("configure")


def test_the_comparison_gets_every_evaluation(tuned: PlannedExperiment, specification: dict) -> None:
    parameters = _tasks(specification)["compare-two"]["inputs"]["parameters"]
    evaluations = parameters["evaluations"]["runtimeValue"]["constant"]
    trials = [f"{variant}-{trial}" for variant in ("gift", "grpo") for trial in ("lr0.0006-seed0", "lr0.0012-seed0")]
    trials += [f"{variant}-seed{seed}" for variant in ("sft", "gift", "grpo") for seed in (0, 1)]
    assert set(evaluations) == set(trials)
    channels = [re.search(r"pipelinechannel--[^']+", uri) for uri in evaluations.values()]
    assert len({channel[0] for channel in channels if channel}) == len(trials)
    assert ExperimentPlan.model_validate(json.loads(parameters["plan"]["runtimeValue"]["constant"])) == tuned.plan


def test_without_tuning_there_is_nothing_to_choose(tmp_path_factory: pytest.TempPathFactory) -> None:
    planned = plan_experiment(TWO, "local", seeds=(0, 1), tuning_seed=None)
    specification = _compile(planned, tmp_path_factory)
    names = _line(specification)
    assert not [name for name in names if name.startswith(("choose", "configure"))]
    assert len([name for name in names if name.startswith("train-policy")]) == 4
    rates = _tasks(specification)["compare-two"]["inputs"]["parameters"]["learning_rates"]["runtimeValue"]["constant"]
    assert rates == {"gift": "0.0006", "grpo": "0.0006"}


def test_nothing_depends_on_a_condition_and_the_run_is_closed(specification: dict) -> None:
    everything = [specification["root"], *specification["components"].values()]
    tasks = [task for part in everything for task in part.get("dag", {}).get("tasks", {}).values()]
    assert not [task for task in tasks if "condition" in task.get("triggerPolicy", {})]
    finish = specification["root"]["dag"]["tasks"]["finish-run"]
    assert finish["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
