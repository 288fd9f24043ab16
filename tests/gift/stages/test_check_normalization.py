"""The check of normalised implicit rewards on real models, with the real S3 and MLflow servers."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from tiny_settings import TINY_MODEL

from gift.algorithms.normalization import BETAS, Normalization
from gift.config import RunConfig, load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.execution.stage import run_stage
from gift.models.base_model import write_base_model
from gift.models.loading import load_model
from gift.rollout.rollouts import Rollouts
from gift.rollout.transformers import TransformersEngine
from gift.stages.check_normalization import NORMALIZATION_FILE, PROMPTS, check_normalization
from gift.storage import download_directory, read_manifest, upload_directory
from gift.tracking import start_parent_run

TINY = (
    *TINY_MODEL,
    "data.sft=64",
    "data.train=40",
    "data.heldout=8",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "rollout.temperature=0.9",
    "rl.prompts_per_step=10",
    "compute.tokens_per_micro_batch=2200",
    "rewards=[{kind: function, function: own_reward:digits}]",
)
OWN_REWARD = """
def digits(completion, problem):
    return sum(character.isdigit() for character in completion) / 8
"""


class OneRowOff(TransformersEngine):
    """An engine with a bug: each group's last response is the first of the next one."""

    def sample(self, prompts: Sequence[Sequence[int]], responses: int, seed: int) -> Rollouts:
        right = super().sample(prompts, responses, seed)
        tensors = (right.prompt_ids, right.prompt_mask, right.response_ids, right.response_mask)
        return Rollouts(*(tensor.roll(-1, dims=0) for tensor in tensors))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, reference/, and policy/ with the reference's weights a little moved."""
    folder = tmp_path_factory.mktemp("inputs")
    config = load_profile("local", TINY)
    write_data(config, folder / "data")
    demonstrations = read_problems(folder / "data" / "sft.jsonl")
    for name in ("reference", "policy"):
        (folder / name).mkdir()
        write_base_model(config, demonstrations, folder / name)
    policy = load_model(folder / "policy", torch.float32, torch.float32, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
    policy.save_pretrained(folder / "policy")
    (folder / "own_reward.py").write_text(OWN_REWARD)
    return folder


@pytest.fixture
def inputs(folders: Path, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """URIs of the stage's inputs in the store."""
    monkeypatch.syspath_prepend(folders)
    uris = {name: f"{bucket_prefix}/{name}" for name in ("data", "policy", "reference")}
    for name, uri in uris.items():
        upload_directory(folders / name, uri)
    return uris


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    return load_profile("local", (*TINY, f"storage.uri={bucket_prefix}"))


def _check(config: RunConfig, inputs: dict[str, str]) -> tuple[str, str]:
    """(URI of the result, MLflow run of the pipeline run)."""
    run_id = f"test-{uuid.uuid4().hex}"
    parent = start_parent_run(config, run_id)
    uri = run_stage(check_normalization, config=config.model_dump_json(), run_id=run_id, parent_run_id=parent, **inputs)
    return uri, parent


def _stage_runs(config: RunConfig) -> list[Run]:
    """The runs of this test's checks in MLflow, newest first."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name(config.experiment)
    return client.search_runs([experiment.experiment_id], "tags.`gift.stage` = 'check-normalization'")


def test_log_z_cancels_on_sampled_groups_and_the_figures_are_kept_for_the_next_check(
    config: RunConfig, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, parent = _check(config, inputs)
    printed = capsys.readouterr().out
    assert "normalised implicit rewards differ by at most" in printed
    assert f"{PROMPTS} groups of 4" in printed

    download_directory(uri, tmp_path / "result")
    manifest = read_manifest(uri)
    assert manifest is not None
    assert manifest.parents == (inputs["data"], inputs["policy"], inputs["reference"])
    result = Normalization.model_validate(json.loads((tmp_path / "result" / NORMALIZATION_FILE).read_text()))
    assert len(set(result.problems)) == PROMPTS
    assert min(result.implicit_reward_std) > 1e-3  # policy and reference do differ
    assert 0 < sum(result.mean_rewards) < PROMPTS
    assert [found.beta for found in result.betas] == list(BETAS)
    assert max(result.betas[0].log_partition) > 10  # r / β: what has to drop out is large
    assert max(max(found.differences) for found in result.betas) < 1e-8

    (run,) = [run for run in _stage_runs(config) if run.data.tags["mlflow.parentRunId"] == parent]
    assert run.info.status == "FINISHED"
    metrics = run.data.metrics
    assert metrics["normalization/max_difference"] == max(max(found.differences) for found in result.betas)
    for beta in BETAS:
        assert 1 <= metrics[f"normalization/effective_sample_size/beta_{beta:g}"] <= 4
        assert f"normalization/mean_log_partition/beta_{beta:g}" in metrics
    artifacts = MlflowClient().list_artifacts(run.info.run_id)
    assert [artifact.path for artifact in artifacts] == [NORMALIZATION_FILE]

    again, _ = _check(config, inputs)
    assert again == uri
    printed_again = capsys.readouterr().out
    assert f"unchanged, reused from {uri}" in printed_again
    assert printed.splitlines()[-1] == printed_again.splitlines()[-1]
    assert _stage_runs(config)[0].data.metrics.keys() == metrics.keys()


def test_groups_with_responses_to_other_prompts_fail_with_one_line_and_keep_their_figures(
    config: RunConfig,
    inputs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gift.stages.check_normalization.TransformersEngine", OneRowOff)
    with pytest.raises(SystemExit) as end:
        _check(config, inputs)
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the normalised implicit rewards of problem ")
    assert "the limit is 0.0001: its group holds responses to other prompts" in error
    assert error.count("\n") == 1
    newest = _stage_runs(config)[0]
    assert newest.info.status == "FAILED"
    assert newest.data.metrics["normalization/max_difference"] > 1e-4


def test_a_policy_that_equals_its_reference_is_refused(
    config: RunConfig, inputs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _check(config, inputs | {"policy": inputs["reference"]})
    assert "train it longer before the check" in capsys.readouterr().err
