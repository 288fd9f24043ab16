"""`report.json` keeps what it is given, and refuses what a reader could not rely on."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gift.errors import GiftError
from gift.report.schema import load_report, parse_report, save_report

EXAMPLE = Path(__file__).with_name("report.json")


@pytest.fixture
def values() -> dict[str, Any]:
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


def test_a_saved_report_loads_as_it_was_and_its_json_holds_what_others_read(tmp_path: Path, values: dict[str, Any]):
    path = tmp_path / "runs" / "one" / "report.json"
    values["samples"][0]["completions"]["base"] = "[\n  1,\n  2\n]"
    report = parse_report(values)
    save_report(report, path)
    assert load_report(path) == report
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved == values
    assert "\n        [1, 4.3941],\n" in path.read_text(encoding="utf-8")  # one line per point of a curve
    assert saved["models"]["candidate"]["heldout"].keys() >= {"accuracy", "stderr", "n"}
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("surprise",), 1, "surprise"),
        (("models", "base", "heldout", "acuracy"), 0.5, "models.base.heldout.acuracy"),
        (("models", "base", "heldout", "accuracy"), 63.2, "models.base.heldout.accuracy"),
        (("models", "base", "heldout", "stderr"), float("nan"), "models.base.heldout.stderr"),
        (("models", "base", "heldout", "n"), 0, "models.base.heldout.n"),
        (("models", "teacher"), {}, "models.teacher"),
        (("registry", "alias"), "production", "registry.alias"),
        (("finished",), "2026-11-21T21:12:40", "finished"),
        (("reused",), ["bake"], "bake"),
        (("seconds", "sft"), -1, "seconds.sft"),
        (("samples", 0, "correct"), {"base": False}, "samples.0"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(values: dict[str, Any], keys: tuple, value: Any, named: str):
    node = values
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    with pytest.raises(GiftError, match=named.replace(".", r"\.")) as refused:
        parse_report(values)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["models", "verdict", "seconds", "provenance"])
def test_the_promised_parts_are_required(values: dict[str, Any], key: str):
    del values[key]
    with pytest.raises(GiftError, match=key):
        parse_report(values)


def test_a_diverged_metric_becomes_a_gap_in_its_curve(tmp_path: Path, values: dict[str, Any]):
    values["curves"] = {"gift": {"kl": [[1, 0.5], [2, float("nan")], [3, float("inf")]]}}
    save_report(parse_report(values), tmp_path / "report.json")
    assert load_report(tmp_path / "report.json").curves["gift"]["kl"] == ((1, 0.5), (2, None), (3, None))


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff\xfe"])
def test_a_file_that_is_no_report_ends_with_its_name(tmp_path: Path, content: bytes | None):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GiftError, match=r"report\.json"):
        load_report(path)


def test_a_report_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, values: dict[str, Any]):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(GiftError, match="cannot write"):
        save_report(parse_report(values), tmp_path / "report.json")
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_benchmarks_are_listed_once_in_the_order_of_the_models(values: dict[str, Any]):
    only_candidate = deepcopy(values["models"]["candidate"]["gsm8k"])
    values["models"]["candidate"]["minerva_math500"] = only_candidate
    assert parse_report(values).benchmarks == ("heldout", "heldout_sampled", "gsm8k", "minerva_math500")


def test_what_is_known_of_a_set_of_problems_is_not_said_of_a_task_that_is_called_alike(values: dict[str, Any]) -> None:
    score = values["models"]["base"]["heldout"]
    for scores in values["models"].values():
        scores |= {"gsm8k_greedy": score, "gsm8k_cot": score, "toksuite_chinese_partial": score}
    values["models"]["base"]["gsm8k_partial"] = score
    values["contamination"] = {"gsm8k": {"problems": 1319, "trained_on": 3, "overlapping": 14}}
    report = parse_report(values)
    assert {"gsm8k_greedy", "gsm8k_cot", "toksuite_chinese_partial"} <= set(report.benchmarks)
    assert "gsm8k_partial" not in report.benchmarks
    for task, known in (("gsm8k_greedy", True), ("gsm8k_cot", False)):
        assert (report.overlap(task) is not None, report.known_by_heart(task) is not None) == (known, known)
