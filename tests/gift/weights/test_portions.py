"""Weights are handed over in portions that hold a budget, keep their order, and never cut a layer."""

import pytest

from gift.weights.portions import plan_portions

LAYER = {"input_layernorm.weight": 1, "self_attn.q_proj.weight": 9, "self_attn.q_proj.bias": 3, "mlp.up_proj.weight": 7}
TENSORS = [
    ("model.embed_tokens.weight", 50),
    *((f"model.layers.{index}.{name}", size) for index in range(12) for name, size in LAYER.items()),
    ("model.norm.weight", 1),
    ("lm_head.weight", 50),
    ("lm_head.bias", 2),
]


@pytest.mark.parametrize("most", [1, 20, 41, 100, 10**9])
def test_portions_hold_the_budget_and_whole_layers(most: int) -> None:
    counts, portions, first = plan_portions(TENSORS, most), [], 0
    for count in counts:
        portions.append(TENSORS[first : first + count])
        first += count
    assert first == len(TENSORS), "all of them, in their order"
    assert all(counts)
    places = {}
    for place, portion in enumerate(portions):
        blocks = {name.split(".")[2] if ".layers." in name else name.rsplit(".", 1)[0] for name, _ in portion}
        assert not places.keys() & blocks, "no block comes twice"
        places |= dict.fromkeys(blocks, place)
        assert len(blocks) == 1 or sum(size for _, size in portion) <= most
    assert len(portions) == {1: 15, 20: 15, 41: 8, 100: 4, 10**9: 1}[most]


def test_the_first_number_in_a_name_is_its_layers() -> None:
    experts = [(f"model.layers.{layer}.mlp.experts.{expert}.up.weight", 1) for layer in range(2) for expert in range(3)]
    assert plan_portions(experts, 1) == [3, 3]


def test_nothing_is_one_portion_of_nothing() -> None:
    assert plan_portions([], 1) == [0]
