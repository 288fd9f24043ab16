"""Where a stage computes: the configuration decides, on machines with and without a GPU."""

from typing import Literal

import pytest
import torch

from gift.errors import GiftError
from gift.models import device
from gift.models.device import choose_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("setting", "gpu", "chosen"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_the_setting_decides_and_auto_takes_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, setting: str, gpu: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(setting).type == chosen


def test_a_gpu_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GiftError, match=r"compute\.device is cuda, but torch finds no GPU") as refusal:
        choose_device("cuda")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("bf16", "fp32", "said"), [(0.5, 0.1, "5.0 times"), (0.11, 0.1, None), (0.05, 0.1, None)])
def test_bf16_on_a_cpu_whose_fp32_is_faster_is_said_with_the_setting_to_change(
    monkeypatch: pytest.MonkeyPatch, bf16: float, fp32: float, said: str | None
) -> None:
    """Each machine has one kind of CPU, so that the times are made up."""
    monkeypatch.setattr(device, "_product_seconds", {torch.bfloat16: bf16, torch.float32: fp32}.__getitem__)
    sentence = device.slow_bf16(CPU, "bf16", "evaluation.precision")
    assert (sentence is None) if said is None else (said in str(sentence) and "evaluation.precision" in str(sentence))


@pytest.mark.parametrize(("kind", "precision"), [("cpu", "fp32"), ("cuda", "bf16")])
def test_nothing_is_measured_where_nobody_chose_bf16_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, kind: str, precision: Literal["fp32", "bf16"]
) -> None:
    monkeypatch.setattr(device, "_product_seconds", lambda _: pytest.fail("measured"))
    assert device.slow_bf16(torch.device(kind), precision, "compute.precision") is None


def test_what_a_product_takes_is_measured_in_both_formats() -> None:
    for dtype in (torch.bfloat16, torch.float32):
        assert 1e-5 < device._product_seconds(dtype) < 10  # 0.5 billion operations
