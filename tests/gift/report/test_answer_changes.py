"""What a training changed is counted for all problems, and shown for the few that tell most."""

from dataclasses import replace

from gift.evaluation.answers import by_problem
from gift.report.answer_changes import KEPT, LONGEST_TEXT, Answers, changed_answers
from tests.gift.evaluation.test_answers_file import ANSWER


def _answers(scores: dict[str, list[float]], **values: str) -> Answers:
    """Problem → the score of each of its answers; a completion says its score."""
    return by_problem(
        replace(ANSWER, problem=problem, sample=place, score=score, **{"completion": f"scores {score:g}"} | values)
        for problem, several in scores.items()
        for place, score in enumerate(several)
    )


def test_every_problem_of_both_models_is_counted_by_what_became_of_it() -> None:
    before = _answers({"p1": [0.0], "p2": [1.0], "p3": [1.0], "p4": [0.0]})
    shown, counts = changed_answers(before, _answers({"p1": [1.0], "p2": [0.0], "p3": [1.0], "only here": [1.0]}))
    assert counts == {ANSWER.benchmark: {"better": 1, "worse": 1, "same": 1}}
    assert [(pair.change, pair.sft.text, pair.candidate.text) for pair in shown] == [
        ("better", "scores 0", "scores 1"),
        ("worse", "scores 1", "scores 0"),
        ("same", "scores 1", "scores 1"),
    ]


def test_of_several_answers_those_are_shown_that_show_the_change() -> None:
    before, after = _answers({"p": [1.0, 0.0, 0.0]}), _answers({"p": [0.0, 1.0, 1.0]})
    for one, other, change, texts in (
        (before, after, "better", ("scores 0", "scores 1")),
        (after, before, "worse", ("scores 1", "scores 0")),
    ):
        ((pair,), _) = changed_answers(one, other)
        assert (pair.change, pair.sft.text, pair.candidate.text) == (change, *texts)
    assert (pair.sft.score, pair.candidate.score, pair.sft.samples) == (2 / 3, 1 / 3, 3)


def test_the_largest_changes_are_kept_and_the_rest_is_counted() -> None:
    many = {f"p{place}": [0.0, 0.0] for place in range(100)}
    after = {problem: [1.0, float(place >= 90)] for place, problem in enumerate(many)}
    shown, counts = changed_answers(_answers(many), _answers(after))
    assert counts[ANSWER.benchmark] == {"better": 100, "worse": 0, "same": 0}
    assert len(shown) == KEPT["better"]
    assert [pair.candidate.score for pair in shown] == [1.0] * 10 + [0.5] * (KEPT["better"] - 10)


def test_a_long_answer_keeps_its_beginning_and_its_end() -> None:
    text = "begins " + "x" * 50_000 + " #### 5"
    ((pair,), _) = changed_answers(_answers({"p": [0.0]}), _answers({"p": [1.0]}, completion=text))
    kept = pair.candidate.text
    assert kept.startswith("begins ")
    assert kept.endswith(" #### 5")
    assert f"{len(text) - LONGEST_TEXT:,} characters left out" in kept
    assert len(kept) < LONGEST_TEXT + 60


def test_a_benchmark_that_only_one_model_was_asked_is_left_out() -> None:
    assert changed_answers({}, _answers({"p": [1.0]})) == ((), {})
