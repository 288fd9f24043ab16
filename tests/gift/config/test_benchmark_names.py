"""What a benchmark is follows from whose it is, and not from how it is called."""

import pytest

from gift.config import RunConfig, asks_base_alone, judges_heldout_answers, load_profile, parse_config, problem_set

LM_EVALS = ("toksuite_chinese_partial", "math_word_problems", "fresh_news_sampled", "heldout_of_somebody")
"""Names that a task of lm-eval has, or may have."""


def _named(task: str) -> RunConfig:
    data = f"{{repository: x/y, revision: {'a' * 40}}}"
    ours = ", ".join(f"{{task: {name}, max_new_tokens: 8}}" for name in ("heldout_partial", "heldout"))
    benchmarks = f"[{ours}, {{lm_eval: {task}, metric: acc, data: {data}}}]"
    gate = f"gate.benchmarks=[{{benchmark: {task}, at_least: 0.0}}]"
    return load_profile("local", (f"evaluation.benchmarks={benchmarks}", gate))


@pytest.mark.parametrize("task", LM_EVALS)
def test_a_named_task_is_asked_of_all_models_and_may_decide_whatever_it_is_called(task: str) -> None:
    config = _named(task)
    asked = [one.task for one in config.evaluation.of_model(base=False).benchmarks]
    assert asked == ["heldout", task]
    assert problem_set(task) is None
    assert not asks_base_alone(task)
    assert not judges_heldout_answers(task)


def test_a_task_of_this_project_has_its_problems_in_its_name() -> None:
    names = ("heldout", "heldout_sampled", "heldout_partial", "gsm8k_greedy", "math500_partial", "fresh_greedy")
    assert [problem_set(name) for name in names] == ["heldout"] * 3 + ["gsm8k", "math500", "fresh"]
    assert [asks_base_alone(name) for name in names] == [False, False, True, False, True, False]
    assert [judges_heldout_answers(name) for name in names] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("benchmark", "samples"),
    [
        ("{task: aime24_sampled}", 32),
        ("{task: aime25_sampled}", 32),
        ("{task: aime25_sampled, samples: 4}", 4),
        ("{task: aime25_greedy}", 1),
        ("{task: amc23_sampled}", 1),
    ],
)
def test_aime_is_sampled_thirty_two_times_where_nothing_else_is_said(benchmark: str, samples: int) -> None:
    benchmarks = f"evaluation.benchmarks=[{{task: heldout}}, {benchmark}]"
    config = load_profile("local", (benchmarks, "model.context_length=512"))
    assert config.evaluation.benchmarks[1].samples == samples
    assert parse_config(config.model_dump_json()) == config
