"""The data of lm-eval's own tasks: all splits, from a local folder or from the hub at one commit, row by row."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from gift.config import RunConfig, load_profile
from gift.data.prepare import check_data, data_settings, write_data
from gift.data.snapshots import local_splits, snapshots_of, write_snapshot
from gift.errors import GiftError

ARC = "{lm_eval: arc_challenge, metric: acc, data: {repository: allenai/ai2_arc, subset: ARC-Challenge, revision: %s}}"
REVISION = "a" * 40
ROW = {"id": "q", "question": "Ω?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}}


def profile(revision: str = REVISION) -> RunConfig:
    return load_profile("local", (f"evaluation.benchmarks=[{{task: heldout, max_new_tokens: 8}}, {ARC % revision}]",))


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "local"
    (folder / "arc_challenge").mkdir(parents=True)
    (folder / "arc_challenge" / "test.jsonl").write_text(json.dumps(ROW) + "\n")
    with gzip.open(folder / "arc_challenge" / "train.jsonl.gz", "wt") as file:
        file.write(json.dumps(ROW | {"id": "t"}) + "\n")
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    return folder


def test_the_rows_of_all_splits_are_beside_the_other_data(local: Path, tmp_path: Path) -> None:
    config = profile()
    check_data(config)
    write_data(config, tmp_path / "out")
    written = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (tmp_path / "out" / "lm_eval" / "arc_challenge").iterdir()
    }
    assert written == {"test": [ROW], "train": [ROW | {"id": "t"}]}
    assert (tmp_path / "out" / "heldout.jsonl").exists()
    assert not (tmp_path / "out" / "arc").exists()


def test_what_decides_the_data_is_the_commit_or_the_local_rows(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data_settings(profile())
    assert first == data_settings(profile(revision="b" * 40))  # the folder is what counts
    (local / "arc_challenge" / "test.jsonl").write_text(json.dumps(ROW | {"id": "other"}) + "\n")
    assert first != data_settings(profile())
    monkeypatch.delenv("GIFT_DATA_DIR")
    assert data_settings(profile()) != data_settings(profile(revision="b" * 40))


def test_a_folder_without_the_rows_is_named_before_the_run_starts(local: Path) -> None:
    for path in (local / "arc_challenge").iterdir():
        path.unlink()
    with pytest.raises(GiftError, match=r"has no arc_challenge/<split>.jsonl; put a file there for each split"):
        check_data(profile())


def test_a_file_that_lies_elsewhere_is_refused(local: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jsonl").write_text("{}\n")
    (local / "arc_challenge" / "more.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(GiftError, match="links out of"):
        local_splits("arc_challenge", local)


def test_the_hub_is_asked_for_all_splits_of_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(*arguments: Any, **named: Any) -> datasets.DatasetDict:
        asked.append((arguments, named))
        return datasets.DatasetDict({split: datasets.Dataset.from_list([ROW]) for split in ("train", "test")})

    monkeypatch.setattr("datasets.load_dataset", load)
    write_snapshot("arc_challenge", snapshots_of(profile())["arc_challenge"], None, tmp_path)
    assert asked == [(("allenai/ai2_arc", "ARC-Challenge"), {"revision": REVISION})]
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "train.jsonl": ROW,
        "test.jsonl": ROW,
    }


def test_a_hub_that_gives_nothing_away_is_named_with_the_way_out(tmp_path: Path) -> None:
    data = snapshots_of(profile())["arc_challenge"]
    with pytest.raises(GiftError) as refusal:
        write_snapshot("arc_challenge", data, None, tmp_path)  # the hub is offline in tests
    assert f"allenai/ai2_arc@{REVISION} (ARC-Challenge) can't be loaded from the hub" in str(refusal.value)
    assert "if it is gated, accept its terms on its page and set HF_TOKEN" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_column_that_is_no_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: {"test": [{"sound": b"\x00"}]})
    with pytest.raises(GiftError, match=r"split test of .* has a column that is no JSON"):
        write_snapshot("arc_challenge", snapshots_of(profile())["arc_challenge"], None, tmp_path)
