"""A file that is written piece by piece is the one that safetensors writes of whole tensors."""

from itertools import cycle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gift.weights.weight_stream import StreamedTensor, write_weights

METADATA = {"format": "pt"}


def streamed(tensor: torch.Tensor, piece: int) -> StreamedTensor:
    return StreamedTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor.flatten().split(piece))


@pytest.mark.parametrize("formats", [[torch.float32], [torch.bfloat16], [torch.bfloat16, torch.float32]])
def test_the_file_is_that_of_safetensors_to_the_last_byte(tmp_path: Path, formats: list[torch.dtype]) -> None:
    shapes = {"b.weight": (5, 7), "a.weight": (3,), "ä": (2, 1, 2), "scalar": (), "none": (0, 4), "B": (1,)}
    dtypes = cycle(formats)
    tensors = {name: torch.randn(shape).to(next(dtypes)) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "whole", METADATA)
    for piece in (1, 3, 1000):
        streams = {name: streamed(tensor, piece) for name, tensor in tensors.items()}
        write_weights(tmp_path / "streamed", streams, METADATA)
        assert (tmp_path / "streamed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_pieces_that_do_not_make_the_tensor_are_refused(tmp_path: Path) -> None:
    short = {"a": StreamedTensor((2, 3), torch.float32, lambda: [torch.zeros(5)])}
    with pytest.raises(ValueError, match=r"a of shape \(2, 3\) came as 5 numbers"):
        write_weights(tmp_path / "file", short, METADATA)
    other = {"a": StreamedTensor((5,), torch.float32, lambda: [torch.zeros(5, dtype=torch.bfloat16)])}
    with pytest.raises(ValueError, match=r"a comes in torch\.bfloat16"):
        write_weights(tmp_path / "file", other, METADATA)
