"""Headers of safetensors files: what is read is what was saved, and no damage goes unseen."""

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny_folders import llama, save

from gift.errors import GiftError
from gift.weights.stored_weights import INDEX, WEIGHTS, read_header, same_values, stored_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.tensor(7)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / WEIGHTS, metadata={"format": "pt"})
    return tmp_path / WEIGHTS


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "sharded", max_shard_size="10KB")


def _write(file: Path, header: object, data: bytes = b"") -> None:
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _refusal(file: Path) -> str:
    with pytest.raises(GiftError) as refusal:
        read_header(file)
    assert "\n" not in str(refusal.value)
    assert str(file) in str(refusal.value)
    return str(refusal.value)


def test_what_is_read_is_what_was_saved(file: Path) -> None:
    found = read_header(file)
    assert {name: tensor.shape for name, tensor in found.items()} == {"a": (2, 3), "b": (4,), "c": ()}
    assert {name: tensor.dtype for name, tensor in found.items()} == {"a": "F32", "b": "BF16", "c": "I64"}
    bytes_of_a = file.read_bytes()[found["a"].start : found["a"].end]
    assert bytes_of_a == TENSORS["a"].numpy().tobytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(file: Path, data: st.DataObject) -> None:
    whole = file.read_bytes()
    cut = file.with_name("cut.safetensors")
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    _refusal(cut)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_header_that_safetensors_refuses_is_refused_here(file: Path, data: st.DataObject) -> None:
    """A changed byte of the header may leave it readable; where it does not, this module says so too."""
    bytes_ = bytearray(file.read_bytes())
    length = struct.unpack("<Q", bytes_[:8])[0]
    bytes_[data.draw(st.integers(0, 7 + length))] = data.draw(st.integers(0, 255))
    changed = file.with_name("changed.safetensors")
    changed.write_bytes(bytes_)
    try:
        load_file(changed)
    except SafetensorError as error:
        if "dtype" not in str(error) and "variant" not in str(error):  # a format of another version is not our business
            _refusal(changed)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ([], b"", "its header is no JSON object"),
        ({"a": {"dtype": "F32", "shape": [1]}}, b"0000", "does not say where a is"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"0000", "does not say where a is"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"0000", r"a of shape (2,) in F32 has 4 bytes"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"00000", "the file has 74"),
        (
            {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"},
            b"0000",
            "b begins at byte 130, where the one before it ends at 134",
        ),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(
    tmp_path: Path, header: object, data: bytes, message: str
) -> None:
    _write(tmp_path / WEIGHTS, header, data)
    assert message in _refusal(tmp_path / WEIGHTS)


@pytest.mark.parametrize(
    "beginning", [b"\xff" * 8, struct.pack("<Q", 10**9), b"\x10" + b"\0" * 7, b"no weights at all"]
)
def test_a_file_that_begins_with_something_else_is_refused(file: Path, beginning: bytes) -> None:
    file.write_bytes(beginning + file.read_bytes()[len(beginning) :])
    assert "is damaged or no safetensors file" in _refusal(file)


def test_shards_are_read_as_one(sharded: Path) -> None:
    assert len(list(sharded.glob("*.safetensors"))) > 1
    assert set(stored_tensors(sharded)) == set(llama().state_dict())


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(GiftError, match=f"has no {shard.name}, which its {INDEX} names"):
        stored_tensors(sharded)


def test_an_index_that_says_something_else_than_the_shards_is_refused(sharded: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    first, *_, last = sorted(set(index["weight_map"].values()))
    name = next(name for name, shard in index["weight_map"].items() if shard == first)
    for wrong in ({name: last}, {"model.new.weight": last}):
        changed = index | {"weight_map": index["weight_map"] | wrong}
        (sharded / INDEX).write_text(json.dumps(changed))
        with pytest.raises(GiftError, match=f"{last} holds no {next(iter(wrong))}, against what"):
            stored_tensors(sharded)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_a_broken_index_is_refused(sharded: Path, text: str) -> None:
    (sharded / INDEX).write_text(text)
    with pytest.raises(GiftError, match=f"{INDEX} (has no weight_map|can't be read|holds no JSON object)"):
        stored_tensors(sharded)


def test_a_shard_outside_the_folder_is_not_read(sharded: Path, file: Path) -> None:
    (sharded / INDEX).write_text(json.dumps({"weight_map": {"a": f"../{file.name}"}}))
    with pytest.raises(GiftError, match=r"has no \.\./model\.safetensors"):
        stored_tensors(sharded)


def test_values_are_the_same_to_the_last_byte_or_not(tmp_path: Path) -> None:
    large = torch.rand(3, 2**19)  # more than is compared at once
    other = large.clone()
    other[-1, -1] += 1
    tensors = {"one": large, "same": large.clone(), "other": other, "half": large.bfloat16(), "flat": large.view(-1, 3)}
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / WEIGHTS)
    found = read_header(tmp_path / WEIGHTS)
    assert [name for name in tensors if same_values(found["one"], found[name])] == ["one", "same"]
