"""What ranks leave, however it was cut, comes back to the last bit; what is not whole is refused."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gift.errors import GiftError
from gift.weights.trained_weights import Fragment, read_trained_weights, write_share

SHAPES = {"embed": (11, 3), "norm": (7,), "head": (2, 2, 2)}
ODD_BITS = (0x80000000, 0x7FC00001, 0x00000001)  # −0, a NaN with something in it, the smallest number above 0


def parameters() -> dict[str, torch.Tensor]:
    made = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    made["norm"][:3] = torch.tensor(ODD_BITS, dtype=torch.uint32).view(torch.float32)
    return made


def leave(folder: Path, made: dict[str, torch.Tensor], cuts: dict[str, tuple[int, ...]]) -> Path:
    """Rank k holds what lies between the cuts k and k + 1 of each parameter."""
    folder.mkdir()
    ranks = len(next(iter(cuts.values()))) - 1
    for rank in range(ranks):
        held = {name: (cuts[name][rank], cuts[name][rank + 1]) for name in made}
        write_share(folder, rank, ranks, {name: fragment(made[name], *ends) for name, ends in held.items()})
    return folder


def fragment(parameter: torch.Tensor, start: int, end: int) -> Fragment:
    numbers = parameter.flatten()[start:end].requires_grad_()
    return Fragment(tuple(parameter.shape), start, end - start, lambda: numbers)


CUTS = {
    "one long vector": {"embed": (0, 20, 33), "norm": (0, 0, 7), "head": (0, 0, 8)},
    "each by itself": {"embed": (0, 11, 22, 33), "norm": (0, 3, 6, 7), "head": (0, 3, 6, 8)},
    "one rank": {"embed": (0, 33), "norm": (0, 7), "head": (0, 8)},
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("piece", [2, 1000])
def test_the_parameters_come_back_however_they_were_cut(
    tmp_path: Path, cuts: dict[str, tuple[int, ...]], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift.weights.trained_weights.PIECE", piece)
    made = parameters()
    found = read_trained_weights(leave(tmp_path / "weights", made, cuts))
    assert {name: parameter.shape for name, parameter in found.items()} == SHAPES
    for name, parameter in found.items():
        pieces = list(parameter.pieces())
        assert max(map(len, pieces)) <= piece
        assert torch.equal(torch.cat(pieces).view(torch.int32), made[name].flatten().view(torch.int32))


def test_a_parameter_of_which_a_part_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    made = parameters()
    short = leave(tmp_path / "short", made, CUTS["one rank"] | {"embed": (0, 30)})
    with pytest.raises(GiftError, match="hold 30 of the 33 numbers of embed"):
        read_trained_weights(short)
    for start, end in ((10, 23), (12, 22)):
        folder = leave(tmp_path / f"from {start}", made, CUTS["each by itself"])
        cut = {"embed": (start, end), "norm": (3, 6), "head": (3, 6)}
        write_share(folder, 1, 3, {name: fragment(made[name], *ends) for name, ends in cut.items()})
        with pytest.raises(GiftError, match="are damaged: the parts of embed do not fit together"):
            read_trained_weights(folder)


def test_parts_of_parameters_of_two_shapes_are_refused(tmp_path: Path) -> None:
    folder = leave(tmp_path / "weights", {"a": torch.randn(4, 2)}, {"a": (0, 4, 8)})
    write_share(folder, 1, 2, {"a": fragment(torch.randn(2, 4), 4, 8)})
    with pytest.raises(GiftError, match="the parts of a do not fit together"):
        read_trained_weights(folder)


def test_a_missing_rank_is_named(tmp_path: Path) -> None:
    folder = leave(tmp_path / "weights", parameters(), CUTS["each by itself"])
    (folder / "rank-1-of-3.safetensors").unlink()
    with pytest.raises(GiftError, match=r"are of 3 ranks, but there is no rank-1-of-3\.safetensors"):
        read_trained_weights(folder)
    with pytest.raises(GiftError, match="there are no trained weights in"):
        read_trained_weights(tmp_path)


@pytest.mark.parametrize("places", [None, "{}", "no json", '{"a": {"shape": [4], "start": -1}}', '{"a": {"start": 0}}'])
def test_a_file_that_does_not_say_where_its_numbers_belong_is_refused(tmp_path: Path, places: str | None) -> None:
    metadata = {"format": "pt"} if places is None else {"places": places}
    save_file({"a": torch.zeros(4)}, tmp_path / "rank-0-of-1.safetensors", metadata)
    with pytest.raises(GiftError, match=r"rank-0-of-1\.safetensors is damaged"):
        read_trained_weights(tmp_path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    folder = leave(tmp_path / "weights", parameters(), CUTS["one rank"])
    file = folder / "rank-0-of-1.safetensors"
    found = read_trained_weights(folder)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(GiftError, match="is damaged or no safetensors file"):
        read_trained_weights(folder)
    with pytest.raises(GiftError, match="has become shorter"):
        [list(parameter.pieces()) for parameter in found.values()]


def test_any_reader_of_safetensors_can_look_at_a_share(tmp_path: Path) -> None:
    made = parameters()
    folder = leave(tmp_path / "weights", made, CUTS["one rank"])
    found = load_file(folder / "rank-0-of-1.safetensors")
    assert {name: len(numbers) for name, numbers in found.items()} == {n: math.prod(s) for n, s in SHAPES.items()}
