"""`comparison.json` keeps what it is given, and refuses what a reader could not rely on."""

import json
from pathlib import Path
from typing import Any

import pytest
from example_experiment import example_comparison, example_plan
from pydantic import ValidationError

from gift.errors import GiftError
from gift.report.comparison.plan import rate_text, trial_label
from gift.report.comparison.schema import Comparison, load_comparison, save_comparison
from gift.report.files import parse_document

EXAMPLE = Path(__file__).with_name("comparison.json")


@pytest.fixture
def values() -> dict[str, Any]:
    return json.loads(example_comparison().model_dump_json())


def test_a_saved_comparison_loads_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    comparison = example_comparison()
    save_comparison(comparison, path)
    assert load_comparison(path) == comparison
    text = path.read_text(encoding="utf-8")
    assert '"values": [0.6, 0.64]' in text
    assert "          [0, " in text  # one line per point of a curve


def test_a_comparison_of_an_earlier_version_still_loads() -> None:
    assert load_comparison(EXAMPLE).plan == example_plan()


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("surprise",), 1, "surprise"),
        (("variants", "gift", "scores", "heldout", "mean"), float("nan"), "variants.gift.scores.heldout.mean"),
        (("variants", "gift", "scores", "heldout", "mean"), 9.9, "lies outside"),
        (("variants", "gift", "scores", "heldout", "low"), None, "2 values do not go with"),
        (("variants", "gift", "scores", "heldout", "values"), [0.5, 0.6, 0.7], "2 values, one per seed"),
        (("variants", "gift", "learning_rate"), 0, "variants.gift.learning_rate"),
        (("plan", "seeds"), [0, 0], "same seed twice"),
        (("plan", "baseline"), "ppo", "ppo is no variant"),
        (("finished",), "2026-11-21T21:12:40", "finished"),
    ],
)
def test_a_value_that_cannot_be_is_refused(values: dict[str, Any], keys: tuple, value: Any, named: str) -> None:
    node = values
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    with pytest.raises(GiftError) as refused:
        parse_document(Comparison, values, "the file")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_results_that_are_not_the_planned_ones_are_refused(values: dict[str, Any]) -> None:
    del values["variants"]["grpo"]
    with pytest.raises(GiftError, match="the plan has the variants gift, grpo, the results gift"):
        parse_document(Comparison, values, "the file")


def test_no_variant_may_be_called_like_the_start_or_like_another() -> None:
    gift, grpo = example_plan().variants
    with pytest.raises(ValidationError, match="name of its own"):
        example_plan(variants=(gift, grpo.model_copy(update={"name": "sft"})))
    with pytest.raises(ValidationError, match="name of its own"):
        example_plan(variants=(gift, gift))


@pytest.mark.parametrize("rate", [6e-4, 2e-4, 3e-6, 6.67e-5, 1.8e-3, 1.0])
def test_the_text_of_a_rate_is_the_rate(rate: float) -> None:
    assert float(rate_text(rate)) == rate
    assert trial_label("gift", 3, rate) == f"gift-lr{rate_text(rate)}-seed3"
