"""What the Docker runner decides before any container starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from gift.config import load_profile
from gift.errors import GiftError
from pipelines.cli.main import app
from pipelines.images import describe
from pipelines.local.docker_runner import containers, local_inputs
from pipelines.local.runner import SUBPROCESSES, Stages, run_stages
from pipelines.local.services import Services


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_servers_on_loopback_are_refused(name: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5500")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example:8333")
    monkeypatch.setenv(name, f"http://{host}:5500")
    with pytest.raises(GiftError, match=f"{name} names {host}, which inside a container is the container itself"):
        containers(load_profile("local"), "a-run")


def test_all_files_that_a_profile_names_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = (
        "model={source: folder, path: models/base, context_length: 256}",
        f"data={{source: jsonl, train_file: train.jsonl, heldout_file: {tmp_path}/test.jsonl}}",
        "rewards=[{kind: model, model: {source: folder, path: /models/reward}}]",
    )
    expected = [Path("/models/reward"), *(tmp_path / name for name in ("models/base", "test.jsonl", "train.jsonl"))]
    assert local_inputs(load_profile("local", overrides)) == sorted(expected)


def test_the_folder_of_public_data_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(tmp_path))
    assert local_inputs(load_profile("qwen2.5-7b-gsm8k")) == [tmp_path]


def test_without_an_image_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(describe, "BUILT", tmp_path / "built")
    result = CliRunner().invoke(app, ["run", "--profile", "local", "--runner", "docker"])
    assert result.exit_code == 1
    assert result.output == "error: image gift has not been built here: run `gift images build --cpu`\n"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_container_that_kfp_took_for_a_finished_one_fails_the_run(services: Services, tmp_path: Path) -> None:
    @contextmanager
    def around(folder: Path) -> Iterator[Stages]:
        with SUBPROCESSES.around(folder) as stages:
            yield replace(stages, faults=["its container ended with status 3"])

    def pipeline(config: str, run_id: str) -> None:
        print("▶ train-sft")
        raise ValueError("Tried to get output 'Output' from task 'train-sft', but task 'train-sft' not found.")

    config = load_profile("local", ("experiment=gift-misled",))
    with pytest.raises(GiftError, match="stage train-sft failed") as failure:
        run_stages(pipeline, config, "misled", tmp_path, replace(SUBPROCESSES, around=around))
    assert "its container ended with status 3" in str(failure.value)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("gift-misled").experiment_id])
    assert run.info.status == "FAILED"
    with pytest.raises(ValueError, match="Tried to get output"):  # without a fault it is our own mistake
        run_stages(pipeline, config, "misled", tmp_path)
