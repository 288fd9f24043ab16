"""What the problem generator and the tokenizer promise."""

import re

import pytest

from gift.data.arithmetic import WordProblem, make_word_problems, solve
from gift.data.problems import completion_text, prompt_text
from gift.data.tokenizer import train_tokenizer

PROMPT = "Question: {question}\nAnswer:"
SLIP_RATE, EARLY_STOP_RATE = 0.5, 0.25
COUNTS = {"sft": 4000, "train": 1000, "heldout": 400}
EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[WordProblem]]:
    return make_word_problems(0, **COUNTS, slip_rate=SLIP_RATE, early_stop_rate=EARLY_STOP_RATE)


def test_counts_ids_and_questions_are_as_asked_for(splits):
    assert {name: len(problems) for name, problems in splits.items()} == COUNTS
    problems = [p for part in splits.values() for p in part]
    assert len({p.id for p in problems}) == len({p.question for p in problems}) == sum(COUNTS.values())
    assert len({p.template for p in splits["heldout"]}) >= 6


def test_heldout_shares_no_question_and_no_numbers(splits):
    other = make_word_problems(1, **COUNTS, slip_rate=SLIP_RATE, early_stop_rate=EARLY_STOP_RATE)
    seen = splits["sft"] + splits["train"] + other["sft"] + other["train"]
    assert not {p.question for p in seen} & {p.question for p in splits["heldout"]}
    assert not {tuple(sorted(p.numbers)) for p in seen} & {tuple(sorted(p.numbers)) for p in splits["heldout"]}


def test_same_seed_same_problems(splits):
    again = make_word_problems(0, **COUNTS, slip_rate=SLIP_RATE, early_stop_rate=EARLY_STOP_RATE)
    other = make_word_problems(1, **COUNTS, slip_rate=SLIP_RATE, early_stop_rate=EARLY_STOP_RATE)
    assert again == splits
    assert other != splits


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_correct_answers_hold_under_independent_evaluation(splits, split):
    for problem in splits[split]:
        equations = EQUATION.findall(problem.answer)
        assert len(equations) == problem.answer.count("\n") >= 2
        for left, operation, right, result in equations:
            assert eval(f"{left}{operation}{right}") == int(result)
        assert problem.answer.endswith(f"#### {problem.final_answer}")
        assert equations[-1][-1] == problem.final_answer
        assert [int(n) for n in re.findall(r"\d+", problem.question)] == list(problem.numbers)


def test_demonstrations_slip_and_stop_as_often_as_asked_for(splits):
    slipped = stopped = 0
    for problem in splits["sft"]:
        written, expected = EQUATION.findall(problem.answer), [str(equation) for equation in solve(problem)]
        slipped += ["".join((a, op, b, "=", c)) for a, op, b, c in written] != expected[: len(written)]
        stopped += len(written) < len(expected)
    assert slipped / COUNTS["sft"] == pytest.approx(SLIP_RATE, abs=0.03)
    assert stopped / COUNTS["sft"] == pytest.approx(EARLY_STOP_RATE, abs=0.03)


def test_no_carelessness_no_errors():
    problems = make_word_problems(0, 300, 0, 0, slip_rate=0.0, early_stop_rate=0.0)["sft"]
    for problem in problems:
        assert problem.answer.endswith(f"#### {problem.final_answer}")
        written = ["".join((a, op, b, "=", c)) for a, op, b, c in EQUATION.findall(problem.answer)]
        assert written == [str(equation) for equation in solve(problem)]


def test_checks_vary_the_length_and_change_nothing_else(splits):
    checked = make_word_problems(0, **COUNTS, slip_rate=SLIP_RATE, early_stop_rate=EARLY_STOP_RATE, max_checks=4)
    assert (checked["train"], checked["heldout"]) == (splits["train"], splits["heldout"])
    seen = set()
    for plain, repeated in zip(splits["sft"], checked["sft"], strict=True):
        assert re.sub(r" Check: [^.]*\.", "", repeated.answer) == plain.answer
        for line in repeated.answer.split("\n")[:-1]:
            equations = EQUATION.findall(line)
            assert len(set(equations)) == 1
            seen.add(len(equations))
    assert seen == {1, 2, 3, 4, 5}


def test_thorough_demonstrations_repeat_every_equation_and_the_others_none(splits):
    rates = {"slip_rate": SLIP_RATE, "early_stop_rate": EARLY_STOP_RATE}
    made = make_word_problems(0, **COUNTS, **rates, max_checks=7, thorough_rate=0.25)
    assert (made["train"], made["heldout"]) == (splits["train"], splits["heldout"])
    thorough = 0
    for plain, repeated in zip(splits["sft"], made["sft"], strict=True):
        written = {len(EQUATION.findall(line)) for line in repeated.answer.split("\n")[:-1]}
        assert written in ({1}, {8})
        assert re.sub(r" Check: [^.]*\.", "", repeated.answer) == plain.answer
        thorough += written == {8}
    assert thorough / COUNTS["sft"] == pytest.approx(0.25, abs=0.03)


def test_a_used_up_space_is_noticed(monkeypatch):
    monkeypatch.setattr("gift.data.arithmetic.NAMES", ("Tom",))
    monkeypatch.setattr("gift.data.arithmetic.ITEMS", ("pens",))
    with pytest.raises(ValueError, match="heldout: only"):
        make_word_problems(0, 0, 0, 1500, slip_rate=0.0, early_stop_rate=0.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"heldout": 10**9},
        {"train": -1},
        {"slip_rate": 1.5},
        {"early_stop_rate": -0.1},
    ],
)
def test_impossible_requests_are_refused(arguments):
    request = {"sft": 10, "train": 10, "heldout": 10, "slip_rate": 0.0, "early_stop_rate": 0.0} | arguments
    with pytest.raises(ValueError, match=r"requested|negative|must lie"):
        make_word_problems(0, **request)


def test_tokenizer_round_trip_digits_and_determinism(splits):
    texts = [prompt_text(p.question, PROMPT) + completion_text(p.answer) for p in splits["sft"]]
    tokenizer = train_tokenizer(texts, 640)
    assert train_tokenizer(texts, 640).get_vocab() == tokenizer.get_vocab()
    unusual = ["  two  spaces\t\n\n", "naïve 東京 🙂", "1,234.50 isn't n't .", "", "x=12*7 , y"]
    for text in [p.question + p.answer for p in splits["heldout"]] + unusual:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert all(len(t) == 1 for t in tokenizer.get_vocab() if any(c.isdigit() and c.isascii() for c in t))
    ids = tokenizer(completion_text("#### 12")).input_ids
    assert [tokenizer.decode([i]) for i in ids[-2:]] == ["1", "2"]
