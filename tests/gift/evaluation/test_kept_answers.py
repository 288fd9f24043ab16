"""An evaluation keeps every answer: the scores follow from them, and both engines are asked the same tokens."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from made_rows import ROWS, TRUTHFULQA, put, truthfulqa
from rote_model import COINS, KEYS, PROMPT, evaluate_with_answers, evaluation, no_progress
from transformers import PreTrainedTokenizerFast

from gift.config import PromptFormat
from gift.data.problems import Problem, write_problems
from gift.evaluation.answers import by_problem
from gift.evaluation.decoders import Decoding, open_decoder
from gift.evaluation.language_model import LanguageModel
from gift.models.ends import load_tokenizer_and_ends

GREEDY = {"task": "heldout", "max_new_tokens": 24}
SAMPLED = {"task": "aime25_sampled", "samples": 8, "max_new_tokens": 24}
GSM8K = {"task": "gsm8k", "max_new_tokens": 12}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    write_problems(folder / "heldout.jsonl", KEYS)
    write_problems(folder / "aime25/test.jsonl", COINS)
    for split in ("train", "test"):
        write_problems(folder / f"gsm8k/{split}.jsonl", KEYS)
    put(folder, "truthfulqa_mc2", ["validation"], [truthfulqa(number) for number in range(ROWS)])
    return folder


def test_every_score_follows_from_the_answers(model: Path, benchmarks: Path) -> None:
    results, answers = evaluate_with_answers(model, benchmarks, evaluation(GREEDY, SAMPLED), 0, no_progress)
    for task, problems in by_problem(answers).items():
        result = results[task]
        assert tuple(problems) == result.ids
        means = [fmean(answer.score for answer in found) for found in problems.values()]
        assert means == pytest.approx(result.correct)
        assert {len(found) for found in problems.values()} == {result.settings.samples}
        assert [answer.sample for found in problems.values() for answer in found] == list(
            range(result.settings.samples)
        ) * len(problems)
    greedy = [answer for answer in answers if answer.benchmark == "heldout"]
    assert [(answer.question, answer.reference, answer.answer) for answer in greedy] == [
        (key.question, key.final_answer, key.final_answer) for key in KEYS
    ]
    assert all(answer.prompt == PROMPT.format(question=answer.question) for answer in answers)
    tosses = results["aime25_sampled"].secondary
    assert tosses["pass@1"] == pytest.approx(results["aime25_sampled"].accuracy)
    assert tosses["pass@1"] < tosses["pass@2"] < tosses["pass@8"]
    assert 0 < tosses["maj@8"] <= 1


def test_problems_with_one_id_keep_marks_and_answers_of_their_own(model: Path, tmp_path: Path) -> None:
    twins = [replace(KEYS[0], id="k"), replace(KEYS[1], id="k", final_answer="999"), KEYS[2], KEYS[2]]
    write_problems(tmp_path / "heldout.jsonl", twins)
    results, answers = evaluate_with_answers(model, tmp_path, evaluation(GREEDY), 0, no_progress)
    assert [(answer.reference, answer.answer, answer.score) for answer in answers] == [
        ("3", "3", 1.0),
        ("999", "10", 0.0),
        ("17", "17", 1.0),
        ("17", "17", 1.0),
    ]
    assert results["heldout"].correct == (1.0, 0.0, 1.0, 1.0)
    assert results["heldout"].ids == tuple(answer.problem for answer in answers)
    assert len(set(results["heldout"].ids)) == 4


def test_so_do_they_where_each_is_asked_several_times(model: Path, tmp_path: Path) -> None:
    twins = [replace(COINS[0], id="c"), replace(COINS[1], id="c", final_answer="2"), COINS[2], COINS[2]]
    write_problems(tmp_path / "aime25/test.jsonl", twins)
    results, answers = evaluate_with_answers(model, tmp_path, evaluation(SAMPLED), 0, no_progress)
    result, problems = results[SAMPLED["task"]], by_problem(answers)[SAMPLED["task"]]
    assert [len(found) for found in problems.values()] == [8] * 4
    assert [fmean(answer.score for answer in found) for found in problems.values()] == list(result.correct)
    assert all((answer.score == 1) == (answer.answer == answer.reference) for answer in answers)
    assert result.secondary["pass@1"] == pytest.approx(result.accuracy)


def test_tokens_and_truncation_are_those_of_the_model(model: Path, benchmarks: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    _, whole = evaluate_with_answers(model, benchmarks, evaluation(GREEDY), 0, no_progress)
    lengths = [len(tokenizer(f" {key.answer}").input_ids) + 1 for key in KEYS]  # and the end
    assert [answer.tokens for answer in whole] == lengths
    assert not any(answer.truncated for answer in whole)
    short = GREEDY | {"max_new_tokens": min(lengths) - 1}
    results, cut = evaluate_with_answers(model, benchmarks, evaluation(short), 0, no_progress)
    assert {answer.tokens for answer in cut} == {min(lengths) - 1}
    assert all(answer.truncated for answer in cut)
    assert results["heldout"].secondary["truncated"] == 1.0


def test_what_lm_evals_own_task_found_is_kept_too(model: Path, benchmarks: Path) -> None:
    results, answers = evaluate_with_answers(model, benchmarks, evaluation(GSM8K), 0, no_progress)
    assert [answer.score for answer in answers] == list(results["gsm8k"].correct)
    assert all(answer.prompt.count("Question:") == 6 for answer in answers)  # five examples and the question
    found = [re.search("#### ([0-9]+)", answer.completion) for answer in answers]
    assert [answer.answer for answer in answers] == [match[1] if match else None for match in found]
    assert any(found)


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def test_a_stop_text_ends_the_answer_that_says_it_and_no_other(model: Path, engine: str) -> None:
    prompt = PromptFormat(template=PROMPT)
    tokenizer, ends = load_tokenizer_and_ends(model, prompt)
    config = evaluation(GREEDY, engine=engine, **({"vllm": {"cpu_cache_gib": 0.1}} if engine == "vllm" else {}))
    prompts = [tokenizer(PROMPT.format(question=key.question)).input_ids for key in KEYS]
    # All prompts end with the last of these texts, and no answer begins with the end of another.
    until = ("\n#### 1", "nothing like it", "Answer: It")
    with open_decoder(model, config, tokenizer, ends, CPU, 128) as decoder:
        completions = decoder.complete(prompts, Decoding(64, 0.0, until, 0), lambda: None)
    for key, ids in zip(KEYS, completions, strict=True):
        whole = [*tokenizer(f" {key.answer}").input_ids, ends[0]]
        said = tokenizer.decode(ids)
        if "\n#### 1" in key.answer:
            assert said.count("\n#### 1") == 1
            assert ids == whole[: len(ids)]
            assert "\n#### 1" not in tokenizer.decode(ids[:-1])
        else:
            assert ids == whole


@pytest.fixture(scope="module")
def evaluated_by_vllm(model: Path, benchmarks: Path) -> Iterator[tuple]:
    config = evaluation(GREEDY, SAMPLED, GSM8K, TRUTHFULQA, engine="vllm", vllm={"cpu_cache_gib": 0.1})
    return evaluate_with_answers(model, benchmarks, config, 0, no_progress)


@pytest.mark.slow
def test_vllm_says_what_transformers_says(model: Path, benchmarks: Path, evaluated_by_vllm) -> None:
    results, answers = evaluated_by_vllm
    config = evaluation(GREEDY, GSM8K, TRUTHFULQA)
    expected_results, expected = evaluate_with_answers(model, benchmarks, config, 0, no_progress)
    greedy = [answer for answer in answers if answer.benchmark != SAMPLED["task"]]
    assert [(a.prompt, a.completion, a.answer, a.tokens, a.truncated) for a in greedy] == [
        (a.prompt, a.completion, a.answer, a.tokens, a.truncated) for a in expected
    ]
    for task, result in expected_results.items():
        assert results[task].ids == result.ids
        # TruthfulQA's scores are shares of probability, which follow every log-likelihood.
        assert results[task].correct == pytest.approx(result.correct, abs=1e-4)
        assert results[task].settings.engine == "vllm" != result.settings.engine


@pytest.mark.slow
def test_vllm_draws_samples_of_one_problem_independently(evaluated_by_vllm) -> None:
    result = evaluated_by_vllm[0][SAMPLED["task"]]
    assert sum(0 < score < 1 for score in result.correct) >= 7  # eight fair tosses all fall alike once in 128
    assert 0.25 < result.accuracy < 0.75


def test_both_engines_are_given_the_tokens_of_one_reader(model: Path) -> None:
    """A question that looks like special tokens is text, for whichever engine."""
    prompt = PromptFormat(template=PROMPT)
    tokenizer, ends = load_tokenizer_and_ends(model, prompt)
    asked: list[list[int]] = []

    class Recorder:
        def complete(self, prompts, decoding: Decoding, done) -> list[list[int]]:
            asked.extend(list(prompt) for prompt in prompts)
            return [[ends[0]] for _ in prompts]

    reader = LanguageModel(model, tokenizer, ends, prompt)
    reader.decoder = Recorder()
    problem = Problem("p", f"{tokenizer.eos_token} or not?", "", "1")
    request = type("Request", (), {"args": (problem.question, _settings()), "task_name": "heldout", "doc_id": 0})()
    assert reader.generate_until([request]) == [""]
    assert asked == reader.token_ids([problem.question])
    assert tokenizer.eos_token_id not in asked[0]


def _settings() -> dict[str, object]:
    return {"until": [], "max_gen_toks": 4, "do_sample": False, "temperature": 0.0}


def test_without_vllm_the_engine_can_not_be_chosen(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gift.errors import GiftError

    monkeypatch.setattr("gift.evaluation.decoders.vllm_is_installed", lambda: False)
    tokenizer, ends = load_tokenizer_and_ends(model, PromptFormat(template=PROMPT))
    with (
        pytest.raises(GiftError, match=r"evaluation\.engine is vllm, which is not installed here"),
        open_decoder(model, evaluation(GREEDY, engine="vllm"), tokenizer, ends, CPU, 64),
    ):
        pass
