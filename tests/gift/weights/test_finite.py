"""Weights that are no finite numbers are found in every format that runs write."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gift.errors import GiftError
from gift.weights.finite import PIECE_BYTES, check_finite_weights

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, -1])
def test_one_number_that_is_not_finite_is_found(tmp_path: Path, dtype: torch.dtype, value: float, place: int) -> None:
    weight = torch.zeros(3, 5, dtype=dtype)
    weight.view(-1)[place] = value
    save_file({"first": torch.ones(2, dtype=dtype), "second": weight}, tmp_path / "w.safetensors")
    with pytest.raises(GiftError, match=r"^version 3 has weights that are no finite numbers \(second\)"):
        check_finite_weights(tmp_path / "w.safetensors", "version 3")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_largest_and_the_smallest_numbers_are_finite(tmp_path: Path, dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    extremes = torch.tensor([limits.max, limits.min, limits.tiny, limits.smallest_normal, -0.0], dtype=dtype)
    whole = {"extremes": extremes, "none": torch.zeros(0, dtype=dtype), "ids": torch.tensor([2**31 - 1, -1])}
    save_file(whole, tmp_path / "w.safetensors")
    check_finite_weights(tmp_path / "w.safetensors", "version 3")


def test_it_is_found_behind_the_first_piece(tmp_path: Path) -> None:
    weight = torch.zeros(PIECE_BYTES // 2 + 1, dtype=torch.bfloat16)
    weight[-1] = float("nan")
    save_file({"long": weight}, tmp_path / "w.safetensors")
    with pytest.raises(GiftError, match=r"\(long\)"):
        check_finite_weights(tmp_path / "w.safetensors", "version 3")
