"""The converted folder is the trained model: same logits, whatever the ZeRO stage and number format."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_llamas import batches, train, write_template
from transformers import AutoModelForCausalLM, AutoTokenizer
from zero_checkpoint import read_parameters

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
    convert_checkpoint(
        trained / case / "weights", trained / template, output, precision=precision, max_shard_bytes=max_shard_bytes
    )
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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_the_file_is_the_one_that_is_made_of_a_whole_checkpoint_to_the_last_byte(trained, tmp_path, case, precision):
    """As it was made before, when a training ended with a checkpoint like those to go on from."""
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    whole = {name: stored.assemble().to(dtype).contiguous() for name, stored in read_parameters(trained / case).items()}
    save_file(whole, tmp_path / "whole.safetensors", metadata={"format": "pt"})
    weights, template = trained / case / "weights", trained / CASES[case][0]
    convert_checkpoint(weights, template, tmp_path / "model", precision=precision, max_shard_bytes=ONE_SHARD)
    assert (tmp_path / "model/model.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


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


def test_a_folder_without_weights_is_refused(trained, tmp_path):
    with pytest.raises(GiftError, match="there are no trained weights in"):
        convert_checkpoint(tmp_path, trained / "tied", tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD)


def test_a_missing_rank_is_noticed(trained, tmp_path):
    weights = shutil.copytree(trained / "stage 1 tied/weights", tmp_path / "weights")
    (weights / "rank-0-of-2.safetensors").unlink()
    with pytest.raises(GiftError, match=r"are of 2 ranks, but there is no rank-0-of-2\.safetensors"):
        convert_checkpoint(weights, trained / "tied", tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD)


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
            trained / "stage 1 tied/weights", other, tmp_path / "out", precision="fp32", max_shard_bytes=ONE_SHARD
        )
    assert [path.name for path in tmp_path.iterdir()] == ["template"]


def test_a_failure_while_writing_leaves_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gift.conversion.hugging_face.write_weights", lambda *_, **__: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        convert(trained, "stage 1 tied", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(trained, tmp_path):
    (tmp_path / "keep.txt").touch()
    with pytest.raises(GiftError, match="exists already"):
        convert(trained, "stage 1 tied", tmp_path)
