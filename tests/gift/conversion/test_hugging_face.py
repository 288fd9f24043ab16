"""The converted folder is the trained model: same logits, whatever the ZeRO stage and number format."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_llamas import batches, train, write_template
from transformers import AutoModelForCausalLM, AutoTokenizer

from gift.conversion.hugging_face import convert_checkpoint
from gift.errors import GiftError

CASES = {
    "stage 1 tied": ("tied", {"zero_stage": 1}),
    "stage 2 untied": ("untied", {"zero_stage": 2}),
    "stage 3 tied": ("tied", {"zero_stage": 3}),
    "stage 1 untied bf16": ("untied", {"zero_stage": 1, "precision": "bf16"}),
    "stage 2 tied bf16": ("tied", {"zero_stage": 2, "precision": "bf16"}),
    "stage 3 tied bf16": ("tied", {"zero_stage": 3, "precision": "bf16"}),
}
ONE_SHARD = 2**30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversion")
    for name in ("tied", "untied"):
        write_template(folder / name, tied=name == "tied")
    train(folder, {case: (folder / template, compute) for case, (template, compute) in CASES.items()})
    return folder


def convert(trained, case, output, max_shard_bytes=ONE_SHARD):
    template, compute = CASES[case]
    precision = compute.get("precision", "fp32")
    convert_checkpoint(trained / case, trained / template, output, precision=precision, max_shard_bytes=max_shard_bytes)
    return output


def logits_of(folder):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not any(loading.values()), loading  # no missing, unexpected or mismatched keys
    with torch.no_grad():
        return model(input_ids=batches()[0, 0, 0]).logits


@pytest.mark.parametrize("case", CASES)
def test_converted_logits_equal_the_engines(trained, tmp_path, case):
    engine_logits = load_file(trained / case / "logits.safetensors")["logits"]
    logits = logits_of(convert(trained, case, tmp_path / "model"))
    assert logits.dtype == engine_logits.dtype
    if "bf16" in case:
        assert torch.equal(logits, engine_logits)  # both round the same fp32 masters
    else:
        torch.testing.assert_close(logits, engine_logits, atol=1e-6, rtol=0)
    untrained = logits_of(trained / CASES[case][0])
    assert (untrained - logits.float()).abs().max() > 0.01, "training changed nothing"


def test_a_small_limit_gives_several_shards_with_an_index_and_the_same_logits(trained, tmp_path):
    whole = convert(trained, "stage 2 untied", tmp_path / "whole")
    limit = 560_000  # bytes: one of the two embeddings and little more
    sharded = convert(trained, "stage 2 untied", tmp_path / "sharded", max_shard_bytes=limit)
    shards = sorted(sharded.glob("*.safetensors"))
    assert [shard.name for shard in shards] == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    weight_map = {}
    for shard in shards:
        weights = load_file(shard)
        assert sum(weight.nbytes for weight in weights.values()) <= limit
        weight_map |= dict.fromkeys(weights, shard.name)
    assert json.loads((sharded / "model.safetensors.index.json").read_text())["weight_map"] == weight_map
    assert not (whole / "model.safetensors.index.json").exists()
    assert torch.equal(logits_of(sharded), logits_of(whole))


def test_the_folder_describes_itself(trained, tmp_path):
    output = convert(trained, "stage 2 tied bf16", tmp_path / "model")
    config = json.loads((output / "config.json").read_text())
    assert (config["dtype"], config["architectures"]) == ("bfloat16", ["LlamaForCausalLM"])
    assert config["tie_word_embeddings"] is True
    with safe_open(output / "model.safetensors", "pt") as weights:
        assert "lm_head.weight" not in weights.keys()  # noqa: SIM118 (not a dict)
    assert (output / "generation_config.json").read_bytes() == (trained / "tied/generation_config.json").read_bytes()
    assert AutoTokenizer.from_pretrained(output)("one").input_ids == [1]


def test_a_folder_without_a_checkpoint_is_refused(trained, tmp_path):
    with pytest.raises(GiftError, match="there is no checkpoint in"):
        convert_checkpoint(tmp_path, trained / "tied", tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD)


def test_a_missing_rank_is_noticed(trained, tmp_path):
    checkpoint = shutil.copytree(trained / "stage 1 tied", tmp_path / "checkpoint")
    (checkpoint / "step-3/zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    with pytest.raises(GiftError, match="was written by 2 ranks, but holds files of 1"):
        convert_checkpoint(checkpoint, trained / "tied", tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ({"tied": True, "hidden_size": 36}, r"model\.embed_tokens\.weight is \(4099, 33\) instead of \(4099, 36\)"),
        ({"tied": False}, r"lm_head\.weight is missing"),
    ],
)
def test_a_template_of_another_model_is_refused_and_nothing_is_left(trained, tmp_path, template, fault):
    other = write_template(tmp_path / "template", **template)
    with pytest.raises(GiftError, match=f"does not fit .*config.json: .*{fault}"):
        convert_checkpoint(
            trained / "stage 1 tied", other, tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD
        )
    assert [path.name for path in tmp_path.iterdir()] == ["template"]


def test_a_failure_while_writing_leaves_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gift.conversion.hugging_face.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        convert(trained, "stage 1 tied", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(trained, tmp_path):
    (tmp_path / "keep.txt").touch()
    with pytest.raises(GiftError, match="exists already"):
        convert(trained, "stage 1 tied", tmp_path)


def test_a_checkpoint_that_carries_code_is_refused(trained, tmp_path):
    checkpoint = shutil.copytree(trained / "stage 1 tied", tmp_path / "checkpoint")
    torch.save({"optimizer_state_dict": shutil.rmtree}, checkpoint / "step-3/zero_pp_rank_0_mp_rank_00_optim_states.pt")
    with pytest.raises(pickle.UnpicklingError, match="shutil"):
        convert_checkpoint(checkpoint, trained / "tied", tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD)
