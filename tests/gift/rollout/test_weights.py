"""Weights come through shared memory in files that a rank's memory can hold, and none stays gathered afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gift.config.surroundings import VLLM_WEIGHTS
from gift.rollout import weights as module
from gift.rollout.ranks import Ranks
from gift.rollout.weights import Weights, in_portions, shared_weights, sums_of

NAMES = ("model.embed_tokens.weight", "model.layers.0.a.weight", "model.layers.0.b.weight", "model.layers.1.a.weight")
ELEMENTS = 10


def _weights(held: list[str]) -> Weights:
    """Whose tensors are held until the next one is asked for, as those that ranks gather."""

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for number, name in enumerate(NAMES):
            held.append(name)
            yield name, torch.full((ELEMENTS,), float(number))
            held.remove(name)

    return Weights([(name, ELEMENTS) for name in NAMES], tensors())


@pytest.mark.parametrize(("most", "portions"), [(1, 3), (12 * ELEMENTS, 2), (10**9, 1)])
def test_after_the_last_portion_no_tensor_is_held(most: int, portions: int) -> None:
    held: list[str] = []
    read = []
    for portion in in_portions(_weights(held), torch.float32, most):
        read.append([name for name, _ in portion.tensors])
        assert [name for name, _ in portion.sizes] == read[-1]
    assert held == []
    assert len(read) == portions
    assert [name for names in read for name in names] == list(NAMES)


def test_one_folder_has_all_in_files_of_a_portion_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VLLM_WEIGHTS, str(tmp_path))
    monkeypatch.setattr(module, "PORTION_BYTES", 8 * ELEMENTS)
    with shared_weights(_weights([]), torch.float32, Ranks()) as folder:
        files = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
        sums = sums_of(folder)
    assert [tuple(file) for file in files] == [NAMES[:1], NAMES[1:3], NAMES[3:]]
    assert {name: float(tensor[0]) for file in files for name, tensor in file.items()} == {
        name: float(number) for number, name in enumerate(NAMES)
    }
    assert list(sums) == list(NAMES)
    assert not folder.exists()
