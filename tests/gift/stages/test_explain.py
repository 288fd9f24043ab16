"""Why an output is reused or made anew: told from what decided the outputs that the store has."""

import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from gift.execution.output import Output, address
from gift.execution.stage import run_stage
from gift.stages import evaluate, prepare_data, prepare_model, train_policy, train_sft
from gift.stages.explain import DecisionChange, explain
from gift.stages.prepare_data import prepare_data as prepare_data_stage
from gift.storage import upload_directory
from gift.tracking import start_parent_run
from pipelines.cli.main import app

SMALL = ("data.sft=20", "data.train=10", "data.heldout=5")


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    return load_profile("local", (f"storage.uri={bucket_prefix}", *SMALL))


def _changed(config: RunConfig, *overrides: str) -> RunConfig:
    return load_profile("local", (f"storage.uri={config.storage.uri}", *SMALL, *overrides))


def _make(config: RunConfig, output: Output, folder: Path, text: str = "made") -> str:
    """Stands in for the stage: an output with that address, whatever is in it."""
    decisions = output.decisions()
    uri = address(config.storage.uri, output.kind, decisions)
    source = folder / uuid.uuid4().hex
    source.mkdir()
    (source / "content").write_text(text)
    upload_directory(source, uri, decided_by=decisions)
    return uri


def test_the_output_of_a_real_stage_is_found_again(config: RunConfig) -> None:
    assert explain(config, "prepare-data").nearest is None
    parent = start_parent_run(config, f"test-{uuid.uuid4().hex}")
    uri = run_stage(prepare_data_stage, config=config.model_dump_json(), run_id="r", parent_run_id=parent)
    found = explain(config, "prepare-data")
    assert (found.reused, found.differences) == (uri, ())


def test_every_difference_from_the_nearest_output_is_named(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _make(config, prepare_data.data_output(config), tmp_path)
    model = _make(config, prepare_model.base_model_output(config, data), tmp_path)
    near = _make(config, train_sft.sft_output(config, data, model), tmp_path)
    _make(config, train_sft.sft_output(_changed(config, "sft.steps=7", "seed=3"), data, model), tmp_path)
    _make(
        config, train_policy.policy_output(config, "some run", data, near), tmp_path
    )  # of the same kind, by another stage
    found = explain(_changed(config, "sft.optimizer.learning_rate=0.5"), "train-sft")
    assert (found.reused, found.nearest) == (None, near)
    assert found.differences == (DecisionChange("setting sft.optimizer.learning_rate", "0.004", "0.5"),)
    monkeypatch.setenv("GIFT_IMAGE_FOUNDATION", "another")
    assert explain(config, "prepare-data").differences == (DecisionChange("image", None, "another"),)


def test_what_follows_from_an_output_that_is_made_anew_is_made_anew(config: RunConfig, tmp_path: Path) -> None:
    data = _make(config, prepare_data.data_output(config), tmp_path)
    model = _make(config, prepare_model.base_model_output(config, data), tmp_path)
    evaluation = _make(config, evaluate.evaluation_output(config, data, model, base=True), tmp_path)
    assert explain(config, "evaluate-base").reused == evaluation
    found = explain(_changed(config, "data.train=11"), "evaluate-base")
    assert found.nearest == evaluation
    assert {d.name: d.now for d in found.differences} == {
        "input data": "made anew by prepare-data",
        "input model": "made anew by prepare-model",
    }


def test_without_a_warm_up_the_base_model_is_what_both_stages_hand_through(config: RunConfig, tmp_path: Path) -> None:
    config = _changed(config, "sft.steps=0")
    assert explain(config, "convert-sft").reused is None
    data = _make(config, prepare_data.data_output(config), tmp_path)
    model = _make(config, prepare_model.base_model_output(config, data), tmp_path)
    assert explain(config, "train-sft").reused == explain(config, "convert-sft").reused == model


def test_a_new_run_trains_its_policy_anew_and_a_retried_stage_does_not(config: RunConfig, tmp_path: Path) -> None:
    data = _make(config, prepare_data.data_output(config), tmp_path)
    model = _make(config, prepare_model.base_model_output(config, data), tmp_path)
    checkpoint = _make(config, train_sft.sft_output(config, data, model), tmp_path)
    from gift.stages import convert

    sft = _make(config, convert.converted_output(config, checkpoint, model), tmp_path)
    policy = _make(config, train_policy.policy_output(config, "yesterday", data, sft), tmp_path)
    found = explain(config, "train-policy")
    assert found.differences == (DecisionChange("setting run", "yesterday", "(a new run)"),)
    assert explain(config, "train-policy", run_id="yesterday").reused == policy


def test_a_stage_whose_output_belongs_to_its_run_is_refused(config: RunConfig) -> None:
    with pytest.raises(GiftError, match="gate has no output that is ever reused; choose one of prepare-data, "):
        explain(config, "gate")


def test_the_command_says_it_in_words(config: RunConfig, tmp_path: Path) -> None:
    def gift(*arguments: str) -> str:
        sets = [f"storage.uri={config.storage.uri}", *SMALL, *arguments]
        options = [word for setting in sets for word in ("--set", setting)]
        result = CliRunner().invoke(app, ["explain", "prepare-data", "--profile", "local", *options])
        assert result.exit_code == 0, result.output
        return result.output

    assert "prepare-data is made anew: the store has none yet" in gift()
    uri = _make(config, prepare_data.data_output(config), tmp_path)
    assert f"prepare-data is reused from {uri}" in gift()
    said = gift("data.slip_rate=0.1")
    assert f"prepare-data is made anew; from {uri}\nit differs in 1 of the things that decide it:" in said
    assert "  setting data.slip_rate  0.6 → 0.1" in said
