"""Where a stage computes: the configuration decides, on machines with and without a GPU."""

import pytest
import torch

from gift.errors import GiftError
from gift.models.device import choose_device


@pytest.mark.parametrize(
    ("setting", "gpu", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_the_setting_decides_and_auto_takes_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, setting: str, gpu: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(setting).type == device


def test_a_gpu_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GiftError, match=r"compute\.device is cuda, but torch finds no GPU") as refusal:
        choose_device("cuda")
    assert "\n" not in str(refusal.value)
