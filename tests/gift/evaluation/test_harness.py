"""Real lm-eval on a tiny Llama that has learnt by rote what it answers, so that every score is known beforehand."""

import sys
from pathlib import Path
from typing import Any

import pytest
from rote_model import COINS, CONTEXT, KEYS, PROMPT, evaluate, evaluation, no_progress, says
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gift.config import PromptFormat
from gift.data.problems import Problem, write_problems
from gift.data.tokenizer import EOS_TOKEN
from gift.data.tokens import tokenize_prompts
from gift.errors import GiftError
from gift.evaluation import decoders
from gift.evaluation.language_model import LanguageModel
from gift.models.generation import generate
from gift.models.loading import load_tokenizer
from gift.rewards.gsm8k import gsm8k_reward

GREEDY = {"task": "heldout", "max_new_tokens": 24}
SAMPLED = {"task": "heldout_sampled", "samples": 8, "max_new_tokens": 24}


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    write_problems(tmp_path / "heldout.jsonl", KEYS)
    return tmp_path


@pytest.mark.parametrize(("batch_size", "precision"), [(1, "fp32"), (8, "fp32"), (8, "bf16")])
def test_each_problem_gets_the_score_that_the_model_is_known_to_deserve(
    model: Path, benchmarks: Path, batch_size: int, precision: str
) -> None:
    wrong = {1, 2, 6}
    problems = [Problem(p.id, p.question, p.answer, "-1" if i in wrong else p.final_answer) for i, p in enumerate(KEYS)]
    write_problems(benchmarks / "heldout.jsonl", problems)
    config = evaluation(GREEDY, batch_size=batch_size, precision=precision)
    result = evaluate(model, benchmarks, config, 0, no_progress)["heldout"]
    assert result.correct == tuple(0.0 if i in wrong else 1.0 for i in range(8))
    assert (result.accuracy, result.n) == (5 / 8, 8)
    assert result.stderr == pytest.approx((5 / 8 * 3 / 8 / 7) ** 0.5)
    assert [identity.split("@")[0] for identity in result.ids] == [p.id for p in problems]
    assert result.secondary["mean_completion_characters"] == pytest.approx(
        sum(len(f" {p.answer}") for p in KEYS) / len(KEYS)
    )
    assert [sample.completion for sample in result.samples] == [f" {p.answer}" for p in KEYS[:6]]
    assert [sample.correct for sample in result.samples] == list(result.correct[:6])
    assert result.settings.decoding["max_gen_toks"] == 24
    assert (result.settings.fewshot_count, result.settings.task_version) == (0, "1.0")


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        (" 1000 + 200\n#### 1200", 1.0),
        (" #### 1,200.", 1.0),
        (" #### 1200\n#### 7", 1.0),  # the first counts
        (" #### 7\n#### 1200", 0.0),
        (" #### -1200", 0.0),
        (" #### 12000", 0.0),
        (" The answer is 1200", 0.0),
        ("", 0.0),
    ],
)
def test_heldout_scores_the_number_after_the_mark(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, completion: str, score: float
) -> None:
    write_problems(tmp_path / "heldout.jsonl", [Problem(f"p{i}", f"{i}?", "#### 1,200", "1200") for i in range(2)])
    says(monkeypatch, lambda _, asked: [completion for _ in asked])
    result = evaluate(model, tmp_path, evaluation(GREEDY), 0, no_progress)["heldout"]
    assert result.correct == (score, score)
    assert score == gsm8k_reward(completion, Problem("p", "?", "#### 1,200", "1200"))


@pytest.mark.parametrize(
    ("answers", "final_answer", "completion", "score"),
    [
        ("boxed", r"\frac{1}{2}", r"half, so $\boxed{0.5}$", 1.0),
        ("boxed", r"\frac{1}{2}", r"$\boxed{3}$, no, $\boxed{\dfrac12}$.", 1.0),  # the last counts
        ("boxed", r"\frac{1}{2}", r"$\boxed{0.5}$, no, $\boxed{3}$.", 0.0),
        ("boxed", "5", "The answer is 5", 0.0),  # not where it was asked for
        ("boxed", "5", "", 0.0),
        ("boxed", "5", r"\boxed{9**9**9}", 0.0),
        ("answer", "34", "so\nAnswer: 34", 1.0),
        ("answer", "34", "Answer: 33\nAnswer: $34$", 1.0),
        ("answer", "34", r"\boxed{34}", 0.0),
        ("answer", "34", "Answer:", 0.0),
    ],
)
def test_heldout_finds_the_answer_where_the_configuration_says(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: str,
    final_answer: str,
    completion: str,
    score: float,
) -> None:
    write_problems(tmp_path / "heldout.jsonl", [Problem(f"p{i}", f"{i}?", "", final_answer) for i in range(2)])
    says(monkeypatch, lambda _, asked: [completion for _ in asked])
    config = evaluation(GREEDY).model_copy(update={"heldout_answers": answers})
    assert evaluate(model, tmp_path, config, 0, no_progress)["heldout"].correct == (score, score)


def test_heldout_asks_with_the_prompt_of_the_run_and_stops_at_no_text(
    model: Path, benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    stops: list[list[str]] = []

    def answer(_: LanguageModel, asked: list[Any]) -> list[str]:
        prompts.extend(request.args[0] for request in asked)
        stops.extend(request.args[1]["until"] for request in asked)
        return ["" for _ in asked]

    says(monkeypatch, answer)
    template = "<user>\n{% raw %} {{x}} {question}\n<assistant>"  # nothing in it is taken for a template language
    evaluate(model, benchmarks, evaluation(GREEDY), 0, no_progress, prompt=template)
    assert prompts == [f"<user>\n{{% raw %}} {{{{x}}}} {p.question}\n<assistant>" for p in KEYS]
    assert stops[0] == []


def test_ids_differ_when_the_question_or_the_answer_behind_a_name_differs(model: Path, benchmarks: Path) -> None:
    first = evaluate(model, benchmarks, evaluation(GREEDY), 0, no_progress)["heldout"]
    other_answer = [Problem(p.id, p.question, p.answer, "5") for p in KEYS[:4]]
    other_question = [Problem(p.id, p.question + " Say.", p.answer, p.final_answer) for p in KEYS[4:]]
    write_problems(benchmarks / "heldout.jsonl", [*other_answer, *other_question])
    second = evaluate(model, benchmarks, evaluation(GREEDY), 0, no_progress)["heldout"]
    assert not set(first.ids) & set(second.ids)


def test_the_samples_of_a_problem_are_drawn_independently(model: Path, benchmarks: Path) -> None:
    write_problems(benchmarks / "heldout.jsonl", COINS)
    result = evaluate(model, benchmarks, evaluation(SAMPLED), 0, no_progress)["heldout_sampled"]
    # One answer served eight times would score 0 or 1; eight fair tosses all fall alike once in 128 problems.
    assert sum(0 < score < 1 for score in result.correct) >= 7
    assert all((8 * score).is_integer() for score in result.correct)
    assert len(set(result.correct)) > 1
    assert 0.25 < result.accuracy < 0.75
    spread = sum((score - result.accuracy) ** 2 for score in result.correct) / 7
    assert result.stderr == pytest.approx((spread / 8) ** 0.5)
    assert result.settings.samples == 8


def test_the_seed_decides_the_samples_whatever_ran_before(model: Path, benchmarks: Path) -> None:
    write_problems(benchmarks / "heldout.jsonl", COINS)

    def scores(seed: int, *tasks: dict[str, Any]) -> tuple[float, ...]:
        return evaluate(model, benchmarks, evaluation(*tasks), seed, no_progress)["heldout_sampled"].correct

    assert scores(1, SAMPLED) == scores(1, GREEDY, SAMPLED)
    assert scores(1, SAMPLED) != scores(2, SAMPLED)


def test_a_prompt_that_would_be_cut_is_refused_before_anything_is_generated(model: Path, benchmarks: Path) -> None:
    long = Problem("key/long", "Which key opens " + "the old " * 600 + "box?", "#### 1", "1")
    write_problems(benchmarks / "heldout.jsonl", [*KEYS, long])
    seen: list[int] = []
    with pytest.raises(GiftError, match=r"prompt of problem key/long has \d+ tokens, and only 1000 fit \(context 1024"):
        evaluate(model, benchmarks, evaluation(GREEDY), 0, lambda *_: seen.append(1))
    assert seen == []


def test_an_answer_length_that_leaves_no_room_for_a_prompt_is_refused(model: Path, benchmarks: Path) -> None:
    with pytest.raises(GiftError, match="only 0 fit"):
        evaluate(model, benchmarks, evaluation({"task": "heldout", "max_new_tokens": 1100}), 0, no_progress)


def test_limit_takes_the_first_problems(model: Path, benchmarks: Path) -> None:
    result = evaluate(model, benchmarks, evaluation({**GREEDY, "limit": 3}), 0, no_progress)["heldout"]
    assert [identity.split("@")[0] for identity in result.ids] == ["key/0", "key/1", "key/2"]
    assert result.settings.limit == 3


@pytest.mark.parametrize("begins_with_token", [False, True])
def test_the_model_sees_the_same_tokens_as_in_training(
    model: Path, benchmarks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins_with_token: bool
) -> None:
    folder = tmp_path / "model"
    LlamaForCausalLM.from_pretrained(model).save_pretrained(folder)
    beginning = {"bos_token": EOS_TOKEN, "add_bos_token": True} if begins_with_token else {}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model, **beginning)
    tokenizer.save_pretrained(folder)
    seen: list[list[int]] = []

    def record(model: Any, prompt_ids: Tensor, *others: Any) -> Tensor:
        seen.extend(prompt_ids.tolist())
        return generate(model, prompt_ids, *others)

    monkeypatch.setattr(decoders, "generate", record)
    evaluate(folder, benchmarks, evaluation(GREEDY, batch_size=1), 0, no_progress)
    assert sorted(seen) == sorted(
        tokenize_prompts(load_tokenizer(folder), KEYS, PromptFormat(template=PROMPT), CONTEXT)
    )
    assert all((ids[0] == tokenizer.eos_token_id) == begins_with_token for ids in seen)


def test_the_model_folder_cannot_bend_the_decoding(model: Path, benchmarks: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    network = LlamaForCausalLM.from_pretrained(model)
    network.generation_config = GenerationConfig(
        do_sample=True, temperature=3.0, repetition_penalty=4.0, max_new_tokens=1, eos_token_id=1, pad_token_id=0
    )
    network.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    result = evaluate(folder, benchmarks, evaluation(GREEDY), 0, no_progress)["heldout"]
    assert result.accuracy == 1.0


def test_progress_is_reported_and_the_libraries_are_silent(
    model: Path, benchmarks: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(
        model,
        benchmarks,
        evaluation(GREEDY, batch_size=4),
        0,
        lambda task, finished, total: print(task, finished, total, file=sys.stderr),
    )
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"heldout {finished} 8" for finished in range(9)]


@pytest.mark.parametrize(("task", "file"), [("heldout", "heldout.jsonl"), ("math500", "math500/test.jsonl")])
def test_a_missing_benchmark_file_is_named(model: Path, tmp_path: Path, task: str, file: str) -> None:
    with pytest.raises(GiftError, match=rf"{file} does not exist"):
        evaluate(model, tmp_path, evaluation({"task": task, "max_new_tokens": 8}), 0, no_progress)
