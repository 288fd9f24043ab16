"""Accuracy by length: who answers longer, whether longer answers are better, and who is better at equal length."""

import pytest
from example_experiment import answer, example_comparison

from gift.report.comparison.lengths import answers_by_length
from gift.report.comparison.schema import AnswersByLength
from gift.report.comparison.table import length_rows, markdown_page

SHORT, LONG = 10, 50
PLAIN = [[answer(f"p{index}", SHORT if index < 6 else LONG, float(index >= 8)) for index in range(10)]]
"""One seed: six short answers, all wrong, and four long ones, half of them right."""


def _lengths(**variants: list) -> AnswersByLength:
    found = answers_by_length(PLAIN, {"base": PLAIN, **variants}, "base")
    assert found is not None
    return found


def test_who_is_ahead_by_length_alone_is_not_ahead_at_equal_length() -> None:
    longer = [[answer(f"p{index}", LONG, float(index >= 5)) for index in range(10)]]  # as right as long answers are
    found = _lengths(longer=longer).variants
    assert found["longer"].tokens.mean == LONG
    assert found["base"].tokens.mean == pytest.approx(26)
    assert found["longer"].matched.mean == pytest.approx(0)
    assert found["base"].matched is None


def test_who_is_better_at_every_length_is_ahead_by_the_mean_over_the_baselines_lengths() -> None:
    better = [
        [answer(f"s{index}", SHORT, float(index < 1)) for index in range(2)]
        + [answer(f"l{index}", LONG, float(index < 3)) for index in range(4)]
    ]
    # 50 and 75 % against 0 and 50 %; six and four of the baseline's ten answers.
    assert _lengths(better=better).variants["better"].matched.mean == pytest.approx(0.6 * 0.5 + 0.4 * 0.25)


def test_lengths_that_only_one_of_them_has_are_left_out() -> None:
    long_alone = [[answer("p", LONG, 1.0), answer("q", LONG, 1.0)]]
    assert _lengths(other=long_alone).variants["other"].matched.mean == pytest.approx(0.5)
    elsewhere = [[answer("p", 200, 1.0)] * 20]
    assert _lengths(other=elsewhere).variants["other"].matched.mean is None


def test_longer_and_shorter_are_of_one_problem_so_that_its_difficulty_plays_no_part() -> None:
    easy = [answer("easy", LONG, 0.0), answer("easy", SHORT, 1.0), answer("easy", LONG, 1.0)]  # −1 and 0: −0.5
    hard = [answer("hard", 400, 1.0), answer("hard", 300, 0.0)]  # +1
    same = [answer("same", SHORT, 0.0), answer("same", SHORT, 1.0)]  # says nothing
    found = _lengths(a=[[*easy, *hard, *same]]).variants
    assert found["a"].longer.mean == pytest.approx((-0.5 + 1) / 2)
    assert found["base"].longer.mean is None, "one answer to each problem"


def test_the_parts_are_the_same_for_all_and_hold_every_answer() -> None:
    spread = [[answer(f"p{tokens}", tokens, float(tokens > 30)) for tokens in range(1, 101)]]
    found = _lengths(spread=spread)
    assert list(found.ends) == sorted(set(found.ends))
    result = found.variants["spread"]
    assert sum(share.mean for share in result.shares) == pytest.approx(1)
    assert result.accuracies[0].mean == 0
    assert result.accuracies[-1].mean == 1
    assert sum(share.mean for share in found.start.shares) == pytest.approx(1)


def test_every_seed_counts_once_and_is_compared_with_itself() -> None:
    seeds = [[answer("p", SHORT, 1.0)], [answer("p", SHORT, 0.0)] * 9]
    other = [[answer("p", SHORT, 0.0)], [answer("p", SHORT, 0.0)] * 5]
    found = answers_by_length(seeds, {"base": seeds, "other": other}, "base")
    assert found is not None
    assert found.start.accuracies[0].values == (1.0, 0.0)
    assert found.variants["other"].matched.values == (-1.0, 0.0)


def test_without_answers_there_is_no_part_on_length() -> None:
    assert answers_by_length([[]], {"base": [[]]}, "base") is None
    nothing = example_comparison().model_copy(update={"lengths": None})
    assert length_rows(nothing) == []
    assert "## Length" not in markdown_page(nothing)


def test_answers_of_one_length_are_one_part() -> None:
    assert length_rows(_with([[answer("p", 7, 1.0), answer("q", 7, 0.0)]]))[0][4:] == ["all"]


def test_the_table_says_where_each_part_begins_and_ends() -> None:
    header, start, *variants = length_rows(_with([[answer(f"p{n}", n, 1.0) for n in (10, 20, 30, 40, 50, 60)]]))
    assert header == ["", "Tokens", "Longer − shorter, points", "− GIFT at equal length, points", "to 20", "21 to 30",
                      "31 to 40", "41 to 50", "from 51"]  # fmt: skip
    assert start[4:] == ["100.0"] * 5
    assert variants[0][:4] == ["GIFT", "35", "–", "–"]
    assert variants[1][3] == "0.0"


def test_a_part_of_one_length_is_called_by_it() -> None:
    lengths = [10, 29, 29, 30, 30, 30, 40, 40, 90, 90]
    header = length_rows(_with([[answer(f"p{row}", n, 1.0) for row, n in enumerate(lengths)]]))[0]
    assert header[4:] == ["to 29", "30", "31 to 34", "35 to 50", "from 51"]


def _with(answers: list):
    lengths = answers_by_length(answers, {"gift": answers, "grpo": answers}, "gift")
    return example_comparison().model_copy(update={"lengths": lengths})
