r"""The final answer is found in each format, and never where it isn't stated."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift.judge.answers import clean_answer, final_answer, last_boxed, normalise_number, without_thousands_commas


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 * 7 = 42\n#### 42", "42"),
        ("#### 42 \nBut wait: #### 43", "42"),  # the first one, as lm-eval's gsm8k
        (r"#### \frac{1}{2}.", r"\frac{1}{2}"),
        ("####42", None),
        ("#### ", None),
        ("The answer is 42", None),
    ],
)
def test_the_gsm8k_format(text: str, answer: str | None) -> None:
    assert final_answer(text, ["gsm8k"]) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so $\boxed{42}$.", "42"),
        (r"\boxed{41}, no: \boxed{42}", "42"),
        (r"\boxed {42}", "42"),
        (r"\boxed{\frac{\sqrt{3}}{2}} is it", r"\frac{\sqrt{3}}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{x : x > 1\right.}", r"\left\{x : x > 1\right."),  # an escaped brace does not open
        (r"\boxed{41} and then \boxed{\frac{4", "41"),  # cut off: the last one that balances
        (r"\boxed{\text{two words}}", r"\text{two words}"),
        ("\\boxed{\n  42\n}", "42"),
        (r"\boxed{2}, \boxed{4}", "2, 4"),
        (r"$\boxed{2}$ and $\boxed{4}$", "2, 4"),
        (r"\boxed{2}\quad\text{or}\quad\boxed{2}", "2"),
        (r"\boxed{2} is too small, so \boxed{4}", "4"),
        (r"\boxed 4", "4"),
        (r"so $\boxed 4$", "4"),
        (r"\fbox{7}", "7"),
        (r"\boxed{42}. \boxed{}", "42"),
        (r"\boxed{42} \boxed{This is the end of the proof}", "42"),
        (r"\boxed{On a Monday}", "On a Monday"),
        (r"\boxed{5}, but then \boxed{no real solution}", "no real solution"),
        (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"\boxed{The sum is 42}", "42"),
        (r"\boxed{The sum is not 42}", "not 42"),
        (r"\boxed{}", None),
        (r"\boxed{42", None),
        ("boxed{42}", None),
        ("42", None),
    ],
)
def test_the_boxed_format(text: str, answer: str | None) -> None:
    assert final_answer(text, ["boxed"]) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It follows that\nAnswer: 42", "42"),
        ("Answer: 41\nanswer : 42.\n", "42"),
        ("**Final Answer:** 42", "42"),
        ("Answer: **42**", "42"),
        ("Answer: $42$.", "42"),
        (r"Answer: \(x^2\)", "x^2"),
        (r"Answer: $\boxed{42}$", "42"),
        ("Answer:\n42", "42"),
        ("Answer: 42\nThat is all.", "42"),
        ("Answer:\n\n  42\n", "42"),
        ("**Answer**: 42", "42"),
        ("**Answer:**\n**42**", "42"),
        ("Answer: `42`", "42"),
        ('Answer: "42"', "42"),
        ("Answer:\n```\n42\n```", "42"),
        ("Answer:\n\\[\n\\frac{1}{2}\n\\]\nI hope it is correct.", r"\frac{1}{2}"),
        ("Answer: $$\n42\n$$", "42"),
        ("Answer: \\begin{pmatrix} 1 \\\\\n 2 \\end{pmatrix}\nDone.", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"Answer: \text{Monday}", r"\text{Monday}"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("Final Answer: The final answer is $42$. I hope it is correct.", "42"),
        ("Answer: The sum is 5 and the product is 6.", "The sum is 5 and the product is 6"),
        ("Answer: $5$ or $6$", "$5$ or $6$"),
        ("Answer:", None),
        ("The answer is 42", None),
    ],
)
def test_the_answer_line_format(text: str, answer: str | None) -> None:
    assert final_answer(text, ["answer"]) == answer


def test_what_nobody_sees_hides_no_answer() -> None:
    assert final_answer("\\boxed\u200b{4\u00ad2}", ["boxed"]) == "42"
    assert final_answer("Answer\u200d:\n\ufeff\n42", ["answer"]) == "42"
    assert final_answer("####\u200b 42", ["gsm8k"]) == "42"


def test_the_next_format_is_tried_where_one_is_empty() -> None:
    assert final_answer("Answer: 1, that is \\boxed{}", ["boxed", "answer"]) == "1, that is \\boxed{}"
    assert final_answer("Answer: 1\nso \\boxed{}", ["boxed", "answer"]) == "1"


HOSTILE = {
    "boxes that never close": "\\boxed{" * 120_000,
    "boxes in boxes": "\\boxed{" * 60_000 + "}" * 60_000,
    "boxes without braces": "\\boxed " * 120_000,
    "dots": "Answer: " + "." * 1_000_000,
    "dots in a box": "\\boxed{" + "." * 1_000_000 + "}",
    "marks": "#### " * 200_000,
    "answers": "Answer: " * 120_000,
    "almost answers": "answer " * 140_000,
    "spaces": "Answer" + " " * 1_000_000,
    "backslashes": "\\boxed{" + "\\" * 1_000_000 + "}",
    "dollars": "Answer: " + "$" * 1_000_000,
    "stars": "Answer: " + "*" * 1_000_000,
    "thousands": "\\boxed{" + "123,\\!" * 160_000 + "}",
    "hundreds": "\\boxed{1" + " 100" * 250_000 + " 10}",
    "hundreds with thin spaces": "\\boxed{1" + "\\, 100" * 160_000 + "\\, 10}",
    "hundreds with commas": "\\boxed{1" + ",\\! 100" * 140_000 + ",\\! 10}",
    "what nobody sees": "\u200b" * 1_000_000 + "é",
    "a sentence": "Answer: the " + "is " * 300_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_of_anything_costs_little(kind: str) -> None:
    started = time.process_time()
    final_answer(HOSTILE[kind], ["gsm8k", "boxed", "answer"])
    assert time.process_time() - started < 2, "a quadratic way takes minutes"


def test_formats_are_tried_in_their_order() -> None:
    text = "Answer: 1\n\\boxed{2}\n#### 3"
    assert final_answer(text, ["boxed", "answer"]) == "2"
    assert final_answer(text, ["answer", "boxed"]) == "1"
    assert final_answer("Answer: 1", ["boxed", "gsm8k", "answer"]) == "1"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (r"29,\!322,\!216", "29322216"),
        ("1{,}200", "1200"),
        ("1,200", "1,200"),  # for math-verify to decide: `1,200` may be a pair
        (r"5\,", r"5\,"),
        (".5", ".5"),
        (r"\$18", r"\$18"),
        ("$$ 3 $$", "3"),
        ("0.333...", "0.333..."),
        ("1, 2, ...", "1, 2, ..."),
        ("$", "$"),
        (r"\frac{7}{5} + \frac{1}{5} i.", r"\frac{7}{5} + \frac{1}{5} i"),
        (r"\dfrac{1}{29,\!322,\!216}", r"\dfrac{1}{29322216}"),
        (r"11,\! 111,\! 100", "11111100"),
        (r"(1{,}234, 5)", "(1234, 5)"),
        (r"(1{,}2)", "(1{,}2)"),
        (r"0{,}123", "0{,}123"),  # a decimal comma
        (r"1{,}2345", "1{,}2345"),
        (r"12,\!34", r"12,\!34"),
        (r"1{,}23{,}456", "1{,}23{,}456"),
    ],
)
def test_an_answer_is_bare(raw: str, clean: str) -> None:
    assert clean_answer(raw) == clean


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,234", "1234"),
        ("-1,234,567.50", "-1234567.50"),
        ("+1,234", "+1234"),
        ("−1,234", "−1234"),
        ("$1,200", "$1200"),
        ("-$1,200", "-$1200"),
        (r"\$1,200", r"\$1200"),
        ("1,200%", "1200%"),
        ("1,234.", "1234."),
    ],
)
def test_a_comma_that_parts_the_digits_of_one_number_in_threes_is_left_out(written: str, number: str) -> None:
    assert without_thousands_commas(written) == number


@pytest.mark.parametrize(
    "answer",
    [
        *("(1,2)", "(1,234)", "[0,5]", "{1,200}", "0,1", "1,2", "12,34", "1,23,456", "1234,567", "1,2345", "1,,234"),
        *("0,123", "1, 234", "1,234, 5", "1,234 apples", "1,234/5", "x,123", "1,234,", "a,b", ","),
    ],
)
def test_any_other_comma_is_part_of_the_answer(answer: str) -> None:
    assert without_thousands_commas(answer) == answer
    assert clean_answer(answer.rstrip(",")) == answer.rstrip(",")


@given(text=st.text("0123456789,.-$% ()[]"))
def test_leaving_commas_out_changes_nothing_else_and_only_once(text: str) -> None:
    bare = without_thousands_commas(text)
    assert bare in (text, text.replace(",", ""))
    assert without_thousands_commas(bare) == bare


@given(number=st.integers(1000, 10**15))
def test_a_number_with_commas_is_that_number_and_no_pair_is(number: int) -> None:
    assert normalise_number(f"{number:,}") == str(number)
    assert normalise_number(f"({number:,})") != normalise_number(f"({number})")


@given(content=st.recursive(st.text("ab\\ ", max_size=3), lambda inner: inner.map(lambda text: "{" + text + "}")))
def test_what_is_boxed_comes_out_whole(content: str) -> None:
    content = content.replace("\\", "\\\\")  # no brace is escaped
    whole = content if content.strip() else "0"  # an empty box states nothing
    assert last_boxed(f"first \\boxed{{0}}, then \\boxed{{{content}}} }} {{") == whole


@given(text=st.text("\\boxed{}#$* Answer:1.,\n"), formats=st.permutations(["gsm8k", "boxed", "answer"]))
def test_any_text_has_one_bare_answer_or_none(text: str, formats: list[str]) -> None:
    answer = final_answer(text, formats)
    assert answer is None or (answer == answer.strip() != "")
