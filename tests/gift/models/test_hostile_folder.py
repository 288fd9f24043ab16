"""A model folder with a hostile file, read with transformers: facts, or one line (longer by hand: test_readers.py)."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import fuzz, hostile_json
from hypothesis import given
from hypothesis import strategies as st
from tiny_folders import llama, save

from gift.errors import GiftError
from gift.models.deep_check import check_model_loads


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(llama(), tmp_path_factory.mktemp("models") / "whole")


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
@fuzz(examples=15)
@given(data=st.data())
def test_whatever_a_file_of_it_holds_it_ends_in_facts_or_a_line(
    whole: Path, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    (folder / name).write_bytes(data.draw(hostile_json(json.loads((whole / name).read_text()))))
    with suppress(GiftError):
        check_model_loads(folder)
