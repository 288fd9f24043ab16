"""Copies of public models and data sets: made once, found by their commit, and read before the hub is asked."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import hub_with

from gift.config import FolderModel, ModelReward, RunConfig, load_profile
from gift.data.prepare import write_data
from gift.data.public import GSM8K_TEST, GSM8K_TRAIN
from gift.errors import GiftError
from gift.hub.mirror import data_uri, fetch_model, mirrored_data, model_uri, push, with_reward_models
from gift.storage import read_manifest, upload_directory

NAME, REVISION = "somebody/small-model", "a" * 40
MODEL = f"model={{source: hub, name: {NAME}, revision: {REVISION}}}"
FILES = {"config.json": "{}", "model.safetensors": "weights", "modeling.py": "raise SystemExit", "model.bin": "pickle"}


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def hub_profile(bucket_prefix: str, *settings: str) -> RunConfig:
    return load_profile("local", (MODEL, f"storage.uri={bucket_prefix}", *settings))


def test_push_copies_a_model_of_the_hub_without_code_and_pickles(bucket_prefix, model_folder):
    command = [sys.executable, "-m", "pipelines.cli", "mirror", "push", "--profile", "local", "--set", MODEL]
    with hub_with(NAME, REVISION, model_folder) as address:
        online = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [*command, "--set", f"storage.uri={bucket_prefix}"], env=online, capture_output=True, text=True
        )
    uri = model_uri(hub_profile(bucket_prefix), hub_profile(bucket_prefix).model)
    assert done.returncode == 0, done.stderr
    assert uri in done.stdout.replace("\n", "")
    assert {file.path for file in read_manifest(uri).files} == {"config.json", "model.safetensors"}


def test_a_stage_that_is_offline_reads_the_mirrored_model(bucket_prefix, model_folder, tmp_path):
    config = hub_profile(bucket_prefix)
    with pytest.raises(GiftError, match=r"not mirrored.*gift mirror push"):
        fetch_model(config, config.model, tmp_path / "before")
    upload_directory(model_folder, model_uri(config, config.model))
    fetch_model(config, config.model, tmp_path / "after")
    assert (tmp_path / "after" / "model.safetensors").read_text() == "weights"


def test_reward_models_are_in_a_folder_before_the_ranks_start(bucket_prefix, model_folder, tmp_path):
    reward = f"{{kind: model, model: {{source: hub, name: {NAME}, revision: {REVISION}, context_length: 77}}}}"
    config = load_profile("local", (f"rewards=[{{kind: gsm8k}}, {reward}]", f"storage.uri={bucket_prefix}"))
    upload_directory(model_folder, f"{bucket_prefix}/mirror/models/{NAME}@{REVISION}")
    first, second = with_reward_models(config, tmp_path / "rewards").rewards
    assert first == config.rewards[0]
    assert isinstance(second, ModelReward)
    assert isinstance(second.model, FolderModel)
    assert second.model.context_length == 77
    assert (second.model.path / "model.safetensors").read_text() == "weights"


def test_mirrored_data_are_what_was_pushed_and_leave_no_trace(bucket_prefix, tmp_path, monkeypatch):
    originals = tmp_path / "originals"
    originals.mkdir()
    for data, numbers in ((GSM8K_TRAIN, (0,)), (GSM8K_TEST, (1, 2))):
        with gzip.open(originals / f"{data.name}.jsonl.gz", "wt") as file:
            for number in numbers:
                row = {"question": f"{number} + 0?", "answer": f"It is {number}.\n#### {number}"}
                file.write(json.dumps(row) + "\n")
    settings = ("data={source: gsm8k}", "model={source: scratch}", f"storage.uri={bucket_prefix}")
    config = load_profile("local", settings)
    monkeypatch.setenv("GIFT_DATA_DIR", str(originals))
    assert list(push(config)) == [data_uri(config, GSM8K_TRAIN), data_uri(config, GSM8K_TEST)]
    write_data(config, tmp_path / "direct")
    monkeypatch.delenv("GIFT_DATA_DIR")
    with mirrored_data(config, tmp_path):
        write_data(config, tmp_path / "mirrored")
    assert "GIFT_DATA_DIR" not in os.environ
    for name in ("sft.jsonl", "train.jsonl", "heldout.jsonl"):
        assert (tmp_path / "mirrored" / name).read_bytes() == (tmp_path / "direct" / name).read_bytes()


def test_data_of_lm_evals_own_tasks_are_mirrored_with_all_splits(bucket_prefix, tmp_path, monkeypatch):
    rows = {split: {"question": f"{split}?", "choices": ["a", "b"]} for split in ("train", "test")}
    (tmp_path / "originals" / "piqa").mkdir(parents=True)
    for split, row in rows.items():
        (tmp_path / "originals" / "piqa" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    piqa = f"{{lm_eval: piqa, metric: acc, data: {{repository: baber/piqa, revision: {REVISION}}}}}"
    settings = (f"evaluation.benchmarks.1={piqa}", f"storage.uri={bucket_prefix}")
    config = load_profile("local", settings)
    monkeypatch.setenv("GIFT_DATA_DIR", str(tmp_path / "originals"))
    assert list(push(config)) == [f"{bucket_prefix}/mirror/data/baber/piqa@{REVISION}/subsets/default"]
    monkeypatch.delenv("GIFT_DATA_DIR")
    (tmp_path / "mirrored").mkdir()
    with mirrored_data(config, tmp_path / "mirrored"):
        write_data(config, tmp_path / "out")
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out" / "lm_eval" / "piqa").iterdir()}
    assert found == rows


def test_a_second_push_copies_nothing(bucket_prefix, model_folder):
    config = hub_profile(bucket_prefix)
    upload_directory(model_folder, model_uri(config, config.model))
    assert list(push(config)) == [model_uri(config, config.model)]  # the hub is offline: it would raise
