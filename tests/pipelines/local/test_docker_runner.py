"""What the Docker runner decides before any container starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from gift.config import load_profile
from gift.errors import GiftError
from pipelines.cli.main import app
from pipelines.images import describe
from pipelines.local.docker_environment import check_surroundings, container_environment
from pipelines.local.docker_runner import container_settings, containers, local_inputs
from pipelines.local.run_log import StageFailedError
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


SERVER = ("rollout.engine=vllm", "rollout.vllm.placement=server")


@pytest.fixture
def on_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a run that samples on a vLLM server; returns the folder for its weights."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GIFT_VLLM_SERVER", "http://vllm.example:8000")
    monkeypatch.setenv("GIFT_VLLM_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("GIFT_VLLM_SERVER", SERVER), ("HF_ENDPOINT", ("cluster.hub=true",)), ("GIFT_WEBHOOK_URL", ())],
)
def test_other_servers_on_loopback_are_refused_where_they_are_used(
    on_server: Path, name: str, settings: tuple[str, ...], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://{host}:8000")
    with pytest.raises(GiftError, match=f"{name} names .*, which inside a container is the container itself"):
        containers(load_profile("local", settings), "a-run")
    if settings:
        check_surroundings(load_profile("local"), servers_are_named=False)


def test_a_server_without_address_or_folder_for_weights_is_refused(
    on_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_profile("local", SERVER)
    check_surroundings(config, servers_are_named=False)
    for folder in (str(on_server / "missing"), ""):
        monkeypatch.setenv("GIFT_VLLM_WEIGHTS", folder)
        with pytest.raises(GiftError, match="GIFT_VLLM_WEIGHTS must name a folder"):
            containers(config, "a-run")
    monkeypatch.delenv("GIFT_VLLM_SERVER")
    with pytest.raises(GiftError, match="GIFT_VLLM_SERVER does not say where it is"):
        containers(config, "a-run")


@pytest.mark.parametrize("settings", [(), SERVER])
def test_a_server_and_the_folder_of_its_weights_are_there_for_runs_that_use_them(
    on_server: Path, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def engine() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(info=lambda: {"MemTotal": 2**36})

    monkeypatch.setattr("pipelines.local.docker_runner.docker_engine", engine)
    monkeypatch.setenv("HF_TOKEN", "hf_of-no-use-offline")
    image = SimpleNamespace(id="sha256:0")
    config, used = load_profile("local", settings), bool(settings)
    found = container_settings(config, "a-run", image, "gift", on_server)
    server = {"GIFT_VLLM_SERVER": "http://vllm.example:8000", "GIFT_VLLM_WEIGHTS": str(on_server)}
    assert {name: value for name, value in found["environment"].items() if "VLLM" in name} == (server if used else {})
    assert "HF_TOKEN" not in found["environment"]
    mounts = [mount for mount in found["mounts"] if mount["Target"] == str(on_server)]
    assert [mount["ReadOnly"] for mount in mounts] == ([False] if used else [])


def test_the_hub_comes_with_its_token_and_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "https://hub.example"}
    for name, value in hub.items():
        monkeypatch.setenv(name, value)
    image = SimpleNamespace(id="sha256:0")
    found = container_environment(load_profile("local", ("cluster.hub=true",)), image)
    plain = {"HF_HUB_OFFLINE": "0", "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0"}
    assert hub | plain == {name: value for name, value in found.items() if name.startswith("HF_")}


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
    with pytest.raises(StageFailedError, match="stage train-sft failed") as failure:
        run_stages(pipeline, config, "misled", tmp_path, replace(SUBPROCESSES, around=around))
    assert "its container ended with status 3" in failure.value.last_lines
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("gift-misled").experiment_id])
    assert run.info.status == "FAILED"
    with pytest.raises(ValueError, match="Tried to get output"):  # without a fault it is our own mistake
        run_stages(pipeline, config, "misled", tmp_path)


def test_a_folder_of_links_is_refused_as_a_container_would_find_it_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "0").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/0")
    config = load_profile("local", (f"model={{source: folder, path: {snapshot}, context_length: 256}}",))
    with pytest.raises(GiftError, match=r"config\.json links out of .*/snapshots/1, which is all a container sees"):
        containers(config, "a-run")


def test_an_address_that_is_none_is_refused_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GIFT_WEBHOOK_URL", "http://user:hunter2@[::1")
    with pytest.raises(GiftError, match="GIFT_WEBHOOK_URL is no address: Invalid IPv6 URL") as caught:
        containers(load_profile("local"), "a-run")
    assert "hunter2" not in str(caught.value)
