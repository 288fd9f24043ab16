"""Every data source becomes the same files; what is missing or would spoil the benchmark is refused."""

import json
from pathlib import Path

import pytest

from gift.config import ArithmeticData, Gsm8kData, JsonLinesData
from gift.data.problems import read_problems
from gift.data.sources import check_data, source_identity, write_splits
from gift.errors import GiftError


def _write(path: Path, questions: list[str]) -> None:
    path.write_text(
        "".join(json.dumps({"question": q, "answer": f"so\n#### {i}"}) + "\n" for i, q in enumerate(questions))
    )


@pytest.fixture
def gsm8k_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    _write(folder / "gsm8k_train.jsonl", ["a?", "b?", "c?"])
    _write(folder / "gsm8k_test.jsonl", ["x?", "y?"])
    return folder


def test_arithmetic_is_written_and_repeats(tmp_path: Path) -> None:
    config = ArithmeticData(source="arithmetic", sft=50, train=20, heldout=10)
    assert write_splits(config, 0, tmp_path / "one") == {"sft": 50, "train": 20, "heldout": 10}
    write_splits(config, 0, tmp_path / "two")
    write_splits(config, 1, tmp_path / "three")
    one, two, three = ((tmp_path / name / "sft.jsonl").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_gsm8k_from_a_folder_keeps_the_original_rows_for_lm_eval(gsm8k_folder: Path, tmp_path: Path) -> None:
    config = Gsm8kData(source="gsm8k", folder=gsm8k_folder, sft=2)
    assert write_splits(config, 0, tmp_path / "out") == {"sft": 2, "train": 3, "heldout": 2}
    assert len(read_problems(tmp_path / "out" / "gsm8k" / "train.jsonl")) == 3
    assert [p.question for p in read_problems(tmp_path / "out" / "gsm8k" / "test.jsonl")] == ["x?", "y?"]


def test_the_environment_names_the_folder_unless_the_profile_does(
    gsm8k_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(gsm8k_folder))
    assert Gsm8kData(source="gsm8k").local_folder == gsm8k_folder
    assert Gsm8kData(source="gsm8k", folder=tmp_path).local_folder == tmp_path


def test_own_files(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", ["a?", "b?"])
    _write(tmp_path / "test.jsonl", ["x?"])
    config = JsonLinesData(
        source="jsonl", train_file=tmp_path / "train.jsonl", heldout_file=tmp_path / "test.jsonl", train=1
    )
    assert write_splits(config, 0, tmp_path / "out") == {"sft": 2, "train": 1, "heldout": 1}


def test_a_question_that_is_trained_on_and_held_out_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", ["a?", "b?"])
    _write(tmp_path / "test.jsonl", ["b?"])
    config = JsonLinesData(source="jsonl", train_file=tmp_path / "train.jsonl", heldout_file=tmp_path / "test.jsonl")
    with pytest.raises(GiftError, match="1 questions of split sft are also held out"):
        write_splits(config, 0, tmp_path / "out")


def test_missing_folders_and_files_are_found_before_a_run(gsm8k_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"data folder .*nowhere does not exist"):
        check_data(Gsm8kData(source="gsm8k", folder=tmp_path / "nowhere"))
    (gsm8k_folder / "gsm8k_test.jsonl").unlink()
    with pytest.raises(GiftError, match=r"has neither gsm8k_test\.jsonl\.gz nor gsm8k_test\.jsonl"):
        check_data(Gsm8kData(source="gsm8k", folder=gsm8k_folder))
    with pytest.raises(GiftError, match=r"data file .* does not exist"):
        check_data(JsonLinesData(source="jsonl", train_file=tmp_path / "a", heldout_file=tmp_path / "b"))


def test_too_many_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="data: "):
        write_splits(ArithmeticData(source="arithmetic", heldout=10**9), 0, tmp_path)


def test_the_identity_is_the_content_of_the_files_not_their_place(gsm8k_folder: Path, tmp_path: Path) -> None:
    config = Gsm8kData(source="gsm8k", folder=gsm8k_folder)
    before = source_identity(config, seed=0)
    assert source_identity(config, seed=5) == before
    moved = gsm8k_folder.rename(tmp_path / "moved")
    assert source_identity(Gsm8kData(source="gsm8k", folder=moved), seed=0) == before
    _write(moved / "gsm8k_train.jsonl", ["other?"])
    assert source_identity(Gsm8kData(source="gsm8k", folder=moved), seed=0) != before
