"""How much memory and how many bytes a conversion takes, of a model of 50 MB in shards of 10 MiB."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gift.weights.trained_weights import Fragment, write_share

SHARD = 10 * 2**20
SIZES = {"vocab_size": 8000, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8}
SMALL = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
CONVERT = """
import re, sys
from pathlib import Path
from gift.conversion.hugging_face import convert_checkpoint

def in_memory(what):
    return 1024 * int(re.search(rf"{what}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

folder, shard = Path(sys.argv[1]), int(sys.argv[2])
# What the first one imports and keeps is not that of the others.
for size, precision in (("small", "fp32"), ("large", "fp32"), ("large", "bf16")):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from now on
    before = in_memory("VmRSS")
    convert_checkpoint(
        folder / size / "weights", folder / size, folder / size / precision, precision=precision, max_shard_bytes=shard
    )
    print("peak", in_memory("VmHWM") - before)
"""


def write_model(folder: Path, sizes: dict[str, int]) -> None:
    """A template without weights, and what two ranks would leave of training it, each a half of every parameter."""
    config = LlamaConfig(num_attention_heads=4, **sizes)
    config.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text("{}")
    with torch.device("meta"):
        shapes = {name: tuple(parameter.shape) for name, parameter in LlamaForCausalLM(config).named_parameters()}
    (folder / "weights").mkdir()
    for rank in range(2):
        halves = {name: _half(shape, rank) for name, shape in shapes.items()}
        write_share(folder / "weights", rank, 2, halves)


def _half(shape: tuple[int, ...], rank: int) -> Fragment:
    middle = math.prod(shape) // 2
    length = middle if rank == 0 else math.prod(shape) - middle
    return Fragment(shape, rank * middle, length, lambda: torch.rand(length))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can start a peak of memory anew")
def test_a_conversion_takes_no_more_memory_than_a_shard_and_a_half(tmp_path: Path) -> None:
    write_model(tmp_path / "small", SMALL)
    write_model(tmp_path / "large", SIZES)
    command = [sys.executable, "-c", CONVERT, tmp_path, str(SHARD)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    _, *peaks = (int(peak) for peak in re.findall(r"^peak (\d+)$", printed, re.MULTILINE))
    large = tmp_path / "large"
    assert _weight_bytes(large / "weights") == pytest.approx(50e6, rel=0.05)
    for precision, size, peak in zip(("fp32", "bf16"), (4, 2), peaks, strict=True):
        assert _weight_bytes(large / precision) == pytest.approx(size / 4 * _weight_bytes(large / "weights"), rel=0.001)
        assert len(list((large / precision).glob("*.safetensors"))) > 2
        assert peak < 1.5 * SHARD


def _weight_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
