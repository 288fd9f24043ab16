"""Training on two real DeepSpeed ranks equals plain PyTorch on one, for every ZeRO stage."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_llamas import OPTIMIZER, batches, train, write_template
from transformers import AutoModelForCausalLM
from zero_checkpoint import read_parameters

from gift.config import ComputeConfig, OptimizerConfig
from gift.errors import GiftError
from gift.training.engine import initialize_ranks, learning_rate_factor
from gift.weights.trained_weights import read_trained_weights

CASES = {
    "stage 1": {"zero_stage": 1},
    "stage 2": {"zero_stage": 2},
    "stage 3": {"zero_stage": 3},
    "stage 3 with offload": {"zero_stage": 3, "offload": "cpu"},
}


IN_BF16 = {f"stage {stage} in bf16": {"zero_stage": stage, "precision": "bf16"} for stage in (1, 2, 3)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    template = write_template(folder / "template", tied=True)
    train(folder, {name: (template, compute) for name, compute in (CASES | IN_BF16).items()})
    return folder


@pytest.fixture(scope="module")
def reference(trained):
    """Logits of the first micro-batch after training with nothing but PyTorch, and the gradient norms on the way.

    In float64: PyTorch's own float32 norm is off by 3e-5 here.
    """
    model = AutoModelForCausalLM.from_pretrained(trained / "template", dtype=torch.float64)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": OPTIMIZER["weight_decay"]},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    norms = []
    for update, learning_rate in zip(batches(), (0.01, 0.01, 0.0075), strict=True):  # warm-up 1, then 1 → 0.5
        for group in adamw.param_groups:
            group["lr"] = learning_rate
        sequences = update.flatten(0, -2)  # micro-batches and ranks are parts of one batch
        model(input_ids=sequences, labels=sequences).loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["gradient_clipping"]).item())
        adamw.step()
        adamw.zero_grad()
    with torch.no_grad():
        return model(input_ids=batches()[0, 0, 0]).logits.float(), norms


@pytest.mark.parametrize("case", CASES)
def test_training_equals_plain_pytorch(trained, reference, case):
    logits, norms = reference
    measured = json.loads((trained / case / "measured.json").read_text())
    engine_logits = load_file(trained / case / "logits.safetensors")["logits"]
    # Adam divides each gradient by its own size, so the rounding of the tiniest ones shows in a few logits.
    torch.testing.assert_close(engine_logits, logits, atol=2e-4, rtol=0)
    assert (engine_logits - logits).abs().mean() < 1e-6
    assert measured["gradient_norms"] == pytest.approx(norms, rel=1e-5)
    assert min(norms) > OPTIMIZER["gradient_clipping"], "clipping was not put to the test"


@pytest.mark.parametrize("case", CASES | IN_BF16)
def test_a_loaded_checkpoint_trains_on_to_the_same_bits(trained, case):
    expected, found = read_parameters(trained / case), read_parameters(trained / case / "resumed")
    early = read_parameters(trained / case / "early")
    assert expected.keys() == found.keys()
    for name, parameter in expected.items():
        assert torch.equal(found[name].assemble(), parameter.assemble()), name
        assert not torch.equal(found[name].assemble(), early[name].assemble()), name


@pytest.mark.parametrize("folder", ["", "resumed"])
@pytest.mark.parametrize("case", CASES | IN_BF16)
def test_the_weights_that_are_left_at_the_end_are_the_optimizers_to_the_last_bit(trained, case, folder):
    expected = read_parameters(trained / case / folder)
    found = read_trained_weights(trained / case / folder / "weights")
    assert found.keys() == expected.keys()
    for name, parameter in found.items():
        whole = torch.cat(tuple(parameter.pieces())).reshape(parameter.shape)
        assert torch.equal(whole.view(torch.int32), expected[name].assemble().contiguous().view(torch.int32)), name


@pytest.mark.parametrize("case", CASES | IN_BF16)
def test_what_is_left_at_the_end_is_four_bytes_a_weight_and_no_pickle(trained, case):
    files = list((trained / case / "weights").iterdir())
    assert [file.suffix for file in files] == [".safetensors"] * 2
    weights = sum(parameter.assemble().nbytes for parameter in read_parameters(trained / case).values())
    headers = 2 * 4096
    assert weights < sum(file.stat().st_size for file in files) < weights + headers
    to_go_on_from = [file for file in (trained / case / "ours").rglob("*") if file.is_file()]
    assert {file.suffix for file in to_go_on_from} == {".safetensors", ".json"}
    assert 3 * weights < sum(file.stat().st_size for file in to_go_on_from) < 3 * (weights + headers)


@pytest.mark.parametrize("case", CASES)
def test_gathered_parameters_are_whole_on_every_rank(trained, case):
    assert json.loads((trained / case / "measured.json").read_text())["parameters_whole"]


@pytest.mark.parametrize("case", CASES)
def test_the_largest_weight_is_that_of_all_ranks_whatever_its_sign(trained, case):
    weights = [parameter.assemble().detach() for parameter in read_parameters(trained / case).values()]
    largest = max(float(weight.abs().max()) for weight in weights)
    found = json.loads((trained / case / "measured.json").read_text())["largest_weights"]
    assert found == [pytest.approx(largest), pytest.approx(largest), math.inf]
    assert largest > max(-float(weight.min()) for weight in weights), "turned signs were put to the test"


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.8, 0.6, 0.4]),
        ("cosine", [0.5, 1.0, 1.0, 0.88284, 0.6, 0.31716]),
    ],
)
def test_learning_rate_warms_up_and_decays(schedule, factors):
    optimizer = OptimizerConfig(learning_rate=1.0, warmup_steps=2, schedule=schedule, final_fraction=0.2)
    assert [learning_rate_factor(optimizer, step, 6) for step in range(6)] == pytest.approx(factors, abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that must be missing")
def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(GiftError, match=r"compute\.device is cuda, but DeepSpeed runs on cpu"):
        initialize_ranks(ComputeConfig(device="cuda"))
