"""First the output, then the books: whatever MLflow refuses, what a stage has made is stored, and a retry finds it."""

import ast
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tiny_settings import TINY_WARM_UP

from gift.config import RunConfig, load_profile
from gift.execution.output import Output
from gift.execution.stage import Stage, run_stage
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.train_policy import train_policy
from gift.stages.train_sft import train_sft
from gift.storage import list_paths
from gift.tracking import start_parent_run

STAGES = Path(__file__).parents[3] / "gift" / "stages"
TINY = (
    *TINY_WARM_UP,
    "rl.steps=2",
    "rl.prompts_per_step=2",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
)


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    experiment = f"test-{uuid.uuid4().hex}"  # its own, because it may be deleted
    return load_profile("local", (*TINY, f"storage.uri={bucket_prefix}", f"experiment={experiment}"))


@pytest.fixture
def run(config: RunConfig) -> dict[str, str]:
    """The arguments that all stages of a run share."""
    parent = start_parent_run(config, f"test-{uuid.uuid4().hex}")
    return {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": parent}


def delete_run(run_id: str) -> None:
    MlflowClient().delete_run(run_id)


def delete_experiment(run_id: str) -> None:
    client = MlflowClient()
    client.delete_experiment(client.get_run(run_id).info.experiment_id)


def when_at_work(config: RunConfig, stage: str, do: Callable[[str], None]) -> threading.Thread:
    """`do` something to the MLflow run of a stage as soon as it has named its output."""

    def wait() -> None:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(config.experiment)
        assert experiment is not None
        condition = f"tags.`gift.stage` = '{stage}' and tags.`gift.output` LIKE 's3://%'"
        while not (runs := client.search_runs([experiment.experiment_id], condition)):
            time.sleep(0.05)
        do(runs[0].info.run_id)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(("stage", "delete"), [(train_sft, delete_run), (train_policy, delete_experiment)])
def test_a_refusal_while_it_trains_costs_no_checkpoint(
    config: RunConfig,
    run: dict[str, str],
    bucket_prefix: str,
    capfd: pytest.CaptureFixture[str],
    stage: Callable[..., str],
    delete: Callable[[str], None],
) -> None:
    data = run_stage(prepare_data, **run)
    inputs = {"data": data, "model": run_stage(prepare_model, **run, data=data)}
    capfd.readouterr()
    when_at_work(config, stage.__name__.replace("_", "-"), delete)
    with pytest.raises(SystemExit) as end:
        run_stage(stage, **run, **inputs)
    assert end.value.code == 1
    printed = capfd.readouterr()
    assert "metrics of this stage are lost, its work is not: MLflow at 127.0.0.1:" in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert printed.err.splitlines()[-1].startswith("error: MLflow at 127.0.0.1:")
    (manifest,) = [path for path in list_paths(f"{bucket_prefix}/checkpoints") if path.endswith("manifest.json")]

    if delete is delete_experiment:
        client = MlflowClient()
        client.restore_experiment(client.get_experiment_by_name(config.experiment).experiment_id)
    output = run_stage(stage, **run, **inputs)
    assert f"{output}/manifest.json" == f"{bucket_prefix}/checkpoints/{manifest}"
    assert "unchanged, reused" in capfd.readouterr().out


def make_once(stage: Stage) -> str:
    def make(folder: Path) -> dict[str, str]:
        MlflowClient().delete_run(stage.tracking.run_id)
        (folder / "text.txt").write_text("made")
        return {}

    return stage.make_once(Output("texts", __name__, {}, {}), make)


def make_for_run(stage: Stage) -> str:
    def make(folder: Path) -> dict[str, str]:
        MlflowClient().delete_run(stage.tracking.run_id)
        (folder / "text.txt").write_text("made")
        return {}

    uri = stage.make_for_run("texts", [], make)
    stage.tracking.set_tags({"verdict": "written"})
    return uri


@pytest.mark.parametrize("function", [make_once, make_for_run])
def test_what_is_made_is_stored_before_mlflow_is_told(
    run: dict[str, str], bucket_prefix: str, capsys: pytest.CaptureFixture[str], function: Callable[..., str]
) -> None:
    with pytest.raises(SystemExit):
        run_stage(function, **run)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MLflow at 127.0.0.1:")
    assert "refuses setting tags: The run" in line
    assert [path for path in list_paths(bucket_prefix) if path.endswith("manifest.json")]


def test_no_stage_writes_to_mlflow_while_it_makes_its_output() -> None:
    """Every `make` of a stage is a function inside another; of its tracking it may name the run and no more."""
    makers = {
        (path.name, maker.name): maker
        for path in STAGES.glob("*.py")
        for stage in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(stage, ast.FunctionDef)
        for maker in stage.body
        if isinstance(maker, ast.FunctionDef) and maker.name.startswith("make")
    }
    assert {("gate.py", "make"), ("report.py", "make"), ("evaluate.py", "make")} <= set(makers)
    calls = [
        f"{file}: tracking.{node.attr}"
        for (file, _), maker in makers.items()
        for node in ast.walk(maker)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "tracking"
    ]
    assert calls == []
