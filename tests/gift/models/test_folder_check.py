"""A model folder that is not whole, or doesn't agree with itself, is one line before anything is loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folders import VOCABULARY, another_head, change_json, change_weights, gpt2, gpt_neox, llama, qwen2, save
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

from gift.config import FolderModel, load_profile
from gift.errors import GiftError
from gift.models.base_model_files import check_model, model_files
from gift.models.deep_check import check_model_loads
from gift.models.folder_check import check_model_folder
from gift.preflight.inputs import check_inputs

ROOT = Path(__file__).parents[3]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456789\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "model")


def _refusal(folder: Path) -> str:
    """What a run is told before it starts."""
    with pytest.raises(GiftError) as refusal:
        check_model(FolderModel(source="folder", path=folder))
    assert "\n" not in str(refusal.value)
    assert str(folder) in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["x.json", "vocab.txt", "model.safetensors", "spiece.model"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    for target, says in (("/etc/hostname", "links out of"), ("/nowhere", "No such file"), ("/dev/zero", "or a device")):
        (folder / name).symlink_to(target)
        assert says in _refusal(folder)
        (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "neither a file nor a folder" in _refusal(folder)


def test_a_snapshot_of_the_hub_clients_cache_is_copied(folder: Path, tmp_path: Path) -> None:
    """All its files are links to the blobs beside it."""
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    folder.rename(blobs)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    model = FolderModel(source="folder", path=snapshot)
    check_model(model)
    assert [path.name for path in model_files(model)] == sorted(path.name for path in blobs.iterdir())
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../other.json")
    (tmp_path / "other.json").write_text("{}")
    assert "links out of" in _refusal(snapshot)


@pytest.mark.parametrize("make", [llama, qwen2, gpt2, gpt_neox])
@pytest.mark.parametrize("shards", ["1GB", "10KB"])
def test_a_whole_folder_is_taken(tmp_path: Path, make: Callable[[], Any], shards: str) -> None:
    check_model_folder(save(make(), tmp_path, max_shard_size=shards))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config.json can't be read as JSON"),
        ("[" * 10**6, "config.json can't be read as JSON"),
        ("[]", "config.json holds no JSON object"),
        ("{}", "config.json has no model_type"),
        ('{"model_type": 3}', "config.json has no model_type"),
    ],
)
def test_a_broken_config_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    assert message in _refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_no_file(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER)
    assert f"{name} is a pointer of git-lfs" in _refusal(folder)


def test_pickled_weights_alone_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "has no weights: neither model.safetensors nor" in _refusal(folder)
    torch.save({}, folder / "pytorch_model.bin")
    assert "has pickled weights only (*.bin), which are never read; convert it to safetensors" in _refusal(folder)


def test_an_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    assert "holds an adapter; merge it into its model" in _refusal(folder)


def test_cut_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "model.safetensors is damaged" in _refusal(folder)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_a_tokenizer_must_be_there_and_readable(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    assert f"{name} can't be read as JSON" in _refusal(folder)
    (folder / name).unlink()
    assert "has no tokenizer" in _refusal(folder)


@pytest.mark.parametrize("text", ["{}", '{"model": {"vocab": 1}}', '{"model": {"vocab": {"a": "b"}}}'])
def test_a_tokenizer_without_a_vocabulary_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    assert "tokenizer.json has " in _refusal(folder)


@pytest.mark.parametrize("make", [llama, qwen2, gpt2, gpt_neox])
def test_a_token_beyond_the_embeddings_is_refused(tmp_path: Path, make: Callable[[], Any]) -> None:
    model = make()
    folder, rows = save(model, tmp_path), model.config.vocab_size
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_tokens([f"<new{token}>" for token in range(VOCABULARY, rows + 1)])
    tokenizer.save_pretrained(folder)
    message = f"the token '<new{rows}>' of tokenizer.json has the id {rows}, but the embeddings have rows for {rows}"
    assert message in _refusal(folder)


def test_rows_that_no_token_uses_are_fine(tmp_path: Path) -> None:
    check_model_folder(save(llama(vocab_size=VOCABULARY + 5), tmp_path))


def test_the_vocabulary_of_a_unigram_model_counts_too(folder: Path) -> None:
    tokens = [("<unk>", 0.0), *((f"t{number}", -1.0) for number in range(VOCABULARY))]
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(Unigram(tokens, 0)), eos_token="t1").save_pretrained(folder)
    assert f"of tokenizer.json has the id {VOCABULARY}, but" in _refusal(folder)


def test_a_token_that_stands_for_an_image_needs_no_embedding(tmp_path: Path) -> None:
    folder = save(llama(), tmp_path)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]})
    tokenizer.save_pretrained(folder)
    check_model_folder(folder)
    check_model_loads(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("key", ["eos_token_id", "pad_token_id", "bos_token_id"])
@pytest.mark.parametrize("value", [VOCABULARY, [1, VOCABULARY + 7]])
def test_special_tokens_beyond_the_embeddings_are_refused(folder: Path, name: str, key: str, value: Any) -> None:
    change_json(folder, name, **{key: value})
    assert f"{key} of {name} has the id {VOCABULARY + 7 if isinstance(value, list) else value}, but" in _refusal(folder)


def test_a_vocabulary_size_below_a_token_is_refused(folder: Path) -> None:
    change_json(folder, "config.json", vocab_size=100)
    assert f"has the id {VOCABULARY - 1}, but config.json's vocab_size is 100" in _refusal(folder)


def test_a_tied_model_with_another_head_is_refused(tmp_path: Path) -> None:
    folder = save(qwen2(), tmp_path)
    change_weights(folder, lambda weights: weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()})
    check_model_folder(folder)  # the same once more
    change_weights(folder, another_head)
    assert "a head that differs from its embeddings: training would use one and evaluation the other" in _refusal(
        folder
    )
    change_json(folder, "config.json", tie_word_embeddings=False)
    check_model_folder(folder)


def test_a_run_is_told_which_reward_has_the_broken_folder(folder: Path) -> None:
    reward = f"rewards=[{{kind: model, model: {{source: folder, path: {folder}}}}}]"
    config = load_profile("local", (reward,))
    check_inputs(config)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(GiftError, match=r"reward model: .*model\.safetensors is damaged"):
        check_inputs(config)


def test_it_loads_no_library() -> None:
    program = (
        "import sys, gift.models.folder_check; "
        "print(sorted({'torch', 'transformers', 'numpy', 'safetensors', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_model_of_millions_of_layers_is_not_made(folder: Path) -> None:
    change_json(folder, "config.json", num_hidden_layers=10**12)
    assert "says num_hidden_layers: 1000000000000, and the weights are 21 tensors" in _refusal(folder)
