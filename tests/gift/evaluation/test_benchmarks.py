"""lm-eval's own tasks on our copies of their data: the same prompts and the same scores as lm-eval's."""

import random
from pathlib import Path
from typing import Any

import pytest
from rote_model import evaluate, evaluation, no_progress, says
from transformers import LlamaForCausalLM

from gift.data.problems import Problem, write_problems
from gift.evaluation.language_model import LanguageModel
from gift.models.loading import load_tokenizer

GSM8K_TRAIN = [Problem(f"t{i}", f"Train question {i}?", f"Step {i}.\n#### {i}", str(i)) for i in range(12)]
GSM8K_TEST = [Problem(f"e{i}", f"Test question {i}?", f"Step.\n#### {1000 + i}", str(1000 + i)) for i in range(5)]


def test_gsm8k_asks_and_scores_as_lm_evals_own_task(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(tmp_path / "gsm8k" / "train.jsonl", GSM8K_TRAIN)
    write_problems(tmp_path / "gsm8k" / "test.jsonl", GSM8K_TEST)
    requests: list[Any] = []

    def answer(_: LanguageModel, asked: list[Any]) -> list[str]:
        requests.extend(asked)
        return [" so\n#### 1,000.", " The answer is 1001", " #### 7 or #### 1002", " nothing"]

    says(monkeypatch, answer)
    config = evaluation({"task": "gsm8k", "limit": 4, "max_new_tokens": 31})
    result = evaluate(model, tmp_path, config, 0, no_progress)["gsm8k"]

    shuffled = random.Random(1234)  # lm-eval's default few-shot seed
    for problem, request in zip(GSM8K_TEST, requests, strict=False):
        examples = shuffled.sample(GSM8K_TRAIN, 5)
        shown = "".join(f"Question: {e.question}\nAnswer: {e.answer}\n\n" for e in examples)
        assert request.args[0] == shown + f"Question: {problem.question}\nAnswer:"
    settings = requests[0].args[1]
    assert (settings["max_gen_toks"], settings["do_sample"]) == (31, False)
    assert settings["until"] == ["Question:", "</s>", "<|im_end|>"]
    assert result.correct == (1.0, 0.0, 0.0, 0.0)
    assert result.secondary["flexible_extract_accuracy"] == 0.75
    assert (result.secondary["judge_accuracy"], result.secondary["judge_disagreement"]) == (0.25, 0.0)
    assert result.secondary["flexible_extract_stderr"] == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert (result.settings.fewshot_count, result.settings.task_version) == (5, "3.0")


def test_gsm8k_runs_on_the_real_model(model: Path, tmp_path: Path) -> None:
    write_problems(tmp_path / "gsm8k" / "train.jsonl", GSM8K_TRAIN)
    write_problems(tmp_path / "gsm8k" / "test.jsonl", GSM8K_TEST)
    result = evaluate(model, tmp_path, evaluation({"task": "gsm8k", "max_new_tokens": 8}), 0, no_progress)
    assert result["gsm8k"].n == 5


MATH500 = [
    Problem(f"test/{i}.json", f"What is ${i}/2$?", rf"It is $\boxed{{\frac{{{i}}}{{2}}}}$.", rf"\frac{{{i}}}{{2}}")
    for i in range(1, 5)
]


def test_math500_asks_and_scores_as_lm_evals_own_task(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(tmp_path / "math500" / "test.jsonl", MATH500)
    requests: list[Any] = []

    def answer(_: LanguageModel, asked: list[Any]) -> list[str]:
        requests.extend(asked)
        return [
            r" $\boxed{0.5}$.",  # the same number, but not the same text
            " Final Answer: The final answer is $1$. I hope it is correct.",
            r" Final Answer: The final answer is $\frac{3}{2}$. I hope it is correct.",
            " I don't know",
        ]

    says(monkeypatch, answer)
    config = evaluation({"task": "math500", "max_new_tokens": 31})
    long_context = LlamaForCausalLM.from_pretrained(model)
    long_context.config.max_position_embeddings = 4096  # for lm-eval's four examples
    folder = tmp_path / "model"
    long_context.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    result = evaluate(folder, tmp_path, config, 0, no_progress)["math500"]

    prompt, settings = requests[0].args
    assert prompt.startswith("Problem:\nFind the domain of the expression")
    assert prompt.endswith("\n\nProblem:\nWhat is $1/2$?\n\nSolution:")
    assert (settings["until"], settings["max_gen_toks"], settings["do_sample"]) == (["Problem:"], 31, False)
    assert result.correct == (1.0, 1.0, 1.0, 0.0)
    assert result.secondary["exact_match_accuracy"] == 0.5
    assert (result.secondary["judge_accuracy"], result.secondary["judge_disagreement"]) == (0.75, 0.0)
    assert (result.settings.fewshot_count, result.settings.task_version) == (4, "3.1")
    assert [identity.split("@")[0] for identity in result.ids] == [p.id for p in MATH500]
    assert [(shown.question, shown.final_answer) for shown in result.samples] == [
        (p.question, p.final_answer) for p in MATH500
    ]


AIME24 = [Problem(f"2024-I-{i}", f"Find ${i} + 30$.", "", str(i + 30)) for i in range(1, 5)]


def test_aime24_asks_and_scores_as_lm_evals_own_task(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(tmp_path / "aime24" / "test.jsonl", AIME24)
    requests: list[Any] = []

    def answer(_: LanguageModel, asked: list[Any]) -> list[str]:
        requests.extend(asked)
        return [r" $\boxed{31}$", "$32$ and $32$ make $32$", "33", r"\boxed{0}"]

    says(monkeypatch, answer)
    result = evaluate(model, tmp_path, evaluation({"task": "aime24", "max_new_tokens": 31}), 0, no_progress)["aime24"]
    assert requests[0].args[0] == "Question: Find $1 + 30$.\nAnswer:"
    assert requests[0].args[1]["max_gen_toks"] == 31
    assert result.correct == (1.0, 0.0, 1.0, 0.0)
    assert (result.secondary["judge_accuracy"], result.secondary["judge_disagreement"]) == (0.25, 0.25)
    assert (result.settings.fewshot_count, result.settings.task_version) == (0, "0.0")
    assert [shown.final_answer for shown in result.samples] == ["31", "32", "33", "34"]


@pytest.mark.parametrize(("task", "problems"), [("math500", MATH500), ("aime24", AIME24)])
def test_the_other_benchmarks_run_on_the_real_model(
    model: Path, tmp_path: Path, task: str, problems: list[Problem]
) -> None:
    write_problems(tmp_path / task / "test.jsonl", problems)
    network = LlamaForCausalLM.from_pretrained(model)
    network.config.max_position_embeddings = 4096
    network.save_pretrained(tmp_path / "model")
    load_tokenizer(model).save_pretrained(tmp_path / "model")
    config = evaluation({"task": task, "max_new_tokens": 8})
    assert evaluate(tmp_path / "model", tmp_path, config, 0, no_progress)[task].n == 4
