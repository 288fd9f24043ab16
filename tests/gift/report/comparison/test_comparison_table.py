"""Terminal and Markdown say the same numbers, and say them honestly."""

import io

import pytest
from example_experiment import example_comparison
from rich.console import Console

from gift.report.comparison.schema import Comparison, VariantResult
from gift.report.comparison.statistics import difference_by_seed, estimate
from gift.report.comparison.table import comparison_table, markdown_page
from gift.report.comparison.wording import headline, number_text


def _with_scores(gift: list[float], grpo: list[float]) -> Comparison:
    """The example without tuning, with other sampled accuracies."""
    comparison = example_comparison(tuning_seed=None)
    scores = {"gift": estimate(gift), "grpo": estimate(grpo)}
    variants: dict[str, VariantResult] = {}
    for name, result in comparison.variants.items():
        differences = {} if name == "gift" else {"heldout_sampled": difference_by_seed(grpo, gift)}
        update = {"scores": {**result.scores, "heldout_sampled": scores[name]}, "differences": differences}
        variants[name] = result.model_copy(update=update)
    return comparison.model_copy(update={"variants": variants})


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_terminal_table_has_every_variant_and_the_start() -> None:
    screen = io.StringIO()
    Console(width=110, file=screen).print(comparison_table(example_comparison()))
    text = screen.getvalue()
    for shown in (
        "SFT (start)",
        "GIFT",
        "GRPO",
        "Held-out, sampled",
        "0.0006 *",
        "62.0 ± 25.4",
        "+2.5",
        "− GIFT, points",
        "10 s",
    ):
        assert shown in text


def test_the_markdown_page_holds_results_training_grid_and_every_seed() -> None:
    page = markdown_page(example_comparison())
    assert page.startswith("# Two objectives\n\nWhich one?\n")
    assert "| GRPO | 0.0002 * | 64.5 ± 31.8 |" in page
    assert "| GRPO | 0.0002 | 62.0 | 82.0 | chosen * |" in page
    assert "| GIFT | 60.0 | 64.0 |" in page
    assert "| GRPO | 0.629 ± " in page
    assert "- GRPO: `algorithm=grpo`" in page
    assert "seed 0 itself is therefore a little too good" in page
    assert page.endswith("\n")
    lines = page.splitlines()
    for table_header in (line for line in lines if line.startswith("|  |")):
        columns = table_header.count("|")
        assert lines[lines.index(table_header) + 1].count("|") == columns


def test_looks_along_the_way_name_the_best_and_what_was_lost_until_the_last() -> None:
    looks = {"gift": (0.1, 0.4, 0.5), "grpo": (0.1, 0.6, 0.55, None)}
    comparison = example_comparison()
    for name, result in comparison.variants.items():
        points = tuple((10 * place, value, None, None) for place, value in enumerate(looks[name]))
        result.curves["heldout_accuracy"] = points
    page = _plain(markdown_page(comparison))
    assert "|  | First look | Best | in step | Last | Last − best, points |" in page
    assert "| GIFT | 10.0 | 50.0 | 20 | 50.0 | 0.0 |" in page
    assert "| GRPO | 10.0 | 60.0 | 10 | 55.0 | −5.0 |" in page, "a look without a value is none"
    assert "## Along the way" not in markdown_page(example_comparison()), "where nobody looked"


def test_without_tuning_nothing_is_said_of_it() -> None:
    page = markdown_page(example_comparison(tuning_seed=None))
    assert "## Learning rates" not in page
    assert "chosen" not in page


@pytest.mark.parametrize(
    ("gift", "grpo", "expected"),
    [
        (
            [0.60, 0.61, 0.62],
            [0.70, 0.71, 0.72],
            "GRPO 71.0 %, GIFT 61.0 %; a difference of 10.0 points (95 % interval +10.0 to +10.0, 3 seeds)",
        ),
        (
            [0.70, 0.71, 0.72],
            [0.60, 0.61, 0.65],
            "GIFT 71.0 %, GRPO 62.0 %; a difference of 9.0 points (95 % interval +4.7 to +13.3, 3 seeds)",
        ),
        ([0.60, 0.70], [0.66, 0.66], "which may be chance"),
        ([0.5], [0.6], "with one seed, which may well be chance"),
    ],
)
def test_the_headline_names_the_best_and_how_sure_that_is(gift: list, grpo: list, expected: str) -> None:
    assert expected in _plain(headline(_with_scores(gift, grpo)))


def test_a_clear_difference_is_not_called_chance() -> None:
    assert "chance" not in headline(_with_scores([0.60, 0.61, 0.62], [0.70, 0.71, 0.72]))


def test_no_number_needs_a_power_of_ten_to_be_read() -> None:
    assert number_text(estimate([0.00713, 0.00713])) == "0.00713 ± 0"
    assert number_text(estimate([50.0, 76.0])) == "63 ± 165"
    assert number_text(estimate([12345.0])) == "12,345"
