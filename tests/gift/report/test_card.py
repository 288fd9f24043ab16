"""The model card is one that the hub's own reader takes, and the headline has what the report says."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from gift.report.card import model_card
from gift.report.headline import headline_figures
from gift.report.schema import BenchmarkOverlap, Report, load_report

RESULTS = sorted((Path(__file__).parents[3] / "docs/results").rglob("*.json"))
REPORTS = [path for path in RESULTS if "experiments" not in path.parts]


@pytest.fixture(params=REPORTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def report(request: pytest.FixtureRequest) -> Report:
    return load_report(request.param)


def test_the_hubs_reader_finds_every_score(report: Report) -> None:
    card = ModelCard(model_card(report))
    found = {result.dataset_type: result.metric_value for result in card.data.eval_results}
    expected = {name: round(score.accuracy, 4) for name, score in report.models["candidate"].items()}
    assert found == expected
    assert card.data.model_name == report.registry.model
    assert report.registry.source in card.text
    assert report.run_id in card.text


def test_a_base_model_and_a_data_set_of_the_hub_are_named(report: Report) -> None:
    config = report.config | {"model": {"source": "hub", "name": "Qwen/Qwen2.5-0.5B"}, "data": {"source": "gsm8k"}}
    data = ModelCard(model_card(report.model_copy(update={"config": config}))).data
    assert (data.base_model, data.datasets) == ("Qwen/Qwen2.5-0.5B", ["openai/gsm8k"])


def test_what_of_a_benchmark_was_trained_on_is_said(report: Report) -> None:
    found = {"heldout": BenchmarkOverlap(problems=9, trained_on=2, overlapping=4)}
    text = model_card(report.model_copy(update={"contamination": found}))
    assert ("- Held-out, greedy: 2 trained on, 4 overlap" in text) == ("heldout" in report.benchmarks)
    unknown = report.model_copy(update={"contamination": {}})
    assert "trained on, " not in model_card(unknown)


def test_what_a_description_says_stays_text(report: Report) -> None:
    hostile = report.model_copy(update={"profile": "---\nlicense: mit\n---\n<script>alert(1)</script>"})
    assert ModelCard(model_card(hostile)).data.license is None


def test_the_headline_has_accuracies_gains_verdict_time_and_tokens(report: Report) -> None:
    figures = headline_figures(report)
    for model, scores in report.models.items():
        for benchmark, score in scores.items():
            assert figures[f"{benchmark}/{model}"] == score.accuracy
            assert figures[f"{benchmark}/{model}_stderr"] == score.stderr
    first = report.verdict.comparisons[0]
    assert figures[f"{first.benchmark}/gain"] == first.difference
    assert figures[f"{first.benchmark}/gain_low"] == first.confidence_low
    assert figures["promoted"] == float(report.verdict.promoted)
    assert figures["seconds"] == sum(report.seconds.values())
    assert ("tokens" in figures) == ("num_tokens" in report.curves.get("train-policy", {}))
