"""A training stage that is killed and started again with the same run id goes on, and gives the same output."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tiny_settings import TINY_WARM_UP

from gift.config import load_profile
from gift.execution.stage import run_stage
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.train_sft import train_sft
from gift.storage import list_paths, read_manifest, upload_directory
from gift.tracking import start_parent_run
from gift.tracking.records import stage_records

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]


def test_a_stage_that_was_killed_goes_on_when_it_is_started_again(
    bucket_prefix: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    config = load_profile("local", (*TINY_WARM_UP, f"storage.uri={bucket_prefix}"))
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}
    data = run_stage(prepare_data, **run)
    inputs = {"data": data, "model": run_stage(prepare_model, **run, data=data)}
    resumable = f"{bucket_prefix}/runs/r/resume/train-sft"

    assert _train_until_killed(run | inputs, tmp_path_factory.mktemp("scratch")) == -signal.SIGKILL
    (digest,) = {path.partition("/")[0] for path in list_paths(resumable)}
    assert read_manifest(f"{resumable}/{digest}/step-2/node-0-of-1") is not None

    (tmp_path / "state-0.json").write_text("{}")
    upload_directory(tmp_path, f"{resumable}/{'0' * 16}/step-3/node-0-of-1")  # what other code has left, for example
    capfd.readouterr()
    output = run_stage(train_sft, **run, **inputs)
    printed = capfd.readouterr().out
    assert f"ignored {resumable}/{'0' * 16}: made with another configuration" in printed
    assert f"goes on after step 2, from {resumable}/{digest}" in printed
    assert output == f"{bucket_prefix}/checkpoints/{digest}"
    assert list_paths(resumable) == []
    assert [step for step, _ in stage_records(run["parent_run_id"])["train-sft"].curves["loss"]] == [0, 1, 2, 3]
    (training,) = MlflowClient().search_runs(
        [MlflowClient().get_run(run["parent_run_id"]).info.experiment_id],
        f"tags.`gift.stage` = 'train-sft' and tags.`mlflow.parentRunId` = '{run['parent_run_id']}'",
    )
    assert training.data.params["sft.steps"] == str(config.sft.steps)
    assert training.data.params["sft.optimizer.learning_rate"] == str(config.sft.optimizer.learning_rate)
    assert training.data.metrics["system/cpu_utilization_percentage"] > 0

    rarely = load_profile("local", (*TINY_WARM_UP, f"storage.uri={bucket_prefix}", "sft.checkpoint_every=3"))
    assert run_stage(train_sft, **run | {"config": rarely.model_dump_json()}, **inputs) == output


def test_an_elastic_training_goes_on_with_other_ranks_when_the_same_run_is_started_again(
    bucket_prefix: str, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    own = (*TINY_WARM_UP, f"storage.uri={bucket_prefix}")
    elastic, rigid = (*own, "compute.elastic=true"), (*own, "compute.elastic=false")
    two = ("compute.ranks=2", "compute.zero_stage=3", "compute.tokens_per_micro_batch=2048")
    config = load_profile("local", elastic)
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}
    data = run_stage(prepare_data, **run)
    inputs = {"data": data, "model": run_stage(prepare_model, **run, data=data)}

    def of(*settings: str) -> dict[str, str]:
        return run | inputs | {"config": load_profile("local", settings).model_dump_json()}

    def apart(*settings: str) -> dict[str, str]:
        """In an MLflow run of its own, as MLflow changes no parameter of one."""
        parent = start_parent_run(load_profile("local", settings), f"{bucket_prefix}-{len(settings)}")
        return of(*settings) | {"parent_run_id": parent}

    assert _train_until_killed(of(*elastic, *two), tmp_path_factory.mktemp("scratch")) == -signal.SIGKILL
    capfd.readouterr()
    other = run_stage(train_sft, **apart(*rigid, *two))
    printed = capfd.readouterr().out
    assert "made with another configuration" in printed
    assert "goes on after" not in printed
    # That one has removed what was left at the end of its stage, as of any training of this run.
    assert _train_until_killed(of(*elastic, *two), tmp_path_factory.mktemp("scratch")) == -signal.SIGKILL
    capfd.readouterr()
    output = run_stage(train_sft, **of(*elastic))
    assert "written by 2 rank(s) on 1 node(s) with ZeRO-3" in capfd.readouterr().out
    assert output != other
    assert run_stage(train_sft, **of(*elastic, *two)) == output, "reused, whatever ranks have made it"
    assert run_stage(train_sft, **apart(*rigid)) not in {output, other}


def _train_until_killed(arguments: dict[str, str], scratch: Path) -> int:
    ranks = ROOT / "tests" / "support" / "ranks"
    dying = {"MODULE": "gift.training.sft", "STEP": "2", "CHECKPOINT": "2", "VICTIM": "launcher"}
    environment = (
        os.environ
        | {f"DIE_{name}": value for name, value in dying.items()}
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ranks}"}
    )
    environment["TMPDIR"] = str(scratch)  # a process that is killed leaves its folders behind
    command = [sys.executable, str(HERE / "killed_training.py"), json.dumps(arguments)]
    return subprocess.run(command, env=environment, check=False).returncode
