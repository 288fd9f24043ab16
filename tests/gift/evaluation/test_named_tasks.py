"""Any task or group of lm-eval by its name: asked and scored as lm-eval does, every answer kept, faults in one line."""

from pathlib import Path
from typing import Any

import pytest
from made_rows import ARC, ARC_SPLITS, MUSR, MUSR_SPLITS, REVISION, ROWS, arc, entry, mmlu_pro, musr, put
from rote_model import KEYS, PROMPT, evaluate_with_answers, evaluation, no_progress, says
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from gift.data.problems import prompt_text
from gift.errors import GiftError
from gift.evaluation.answers import by_problem
from gift.evaluation.language_model import LanguageModel
from gift.evaluation.logged_answers import chosen_answer

ARC_CHAT = entry("arc_challenge_chat", "exact_match", "allenai/ai2_arc", "ARC-Challenge", filter="remove_whitespace")


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    for task in ("arc_challenge", "arc_challenge_chat"):
        put(tmp_path, task, ARC_SPLITS, [arc(number) for number in range(ROWS)])
    put(tmp_path, "leaderboard_musr", MUSR_SPLITS[:2], [musr(number) for number in range(ROWS)])
    put(tmp_path, "leaderboard_musr", MUSR_SPLITS[2:], [musr(number) for number in range(2)])
    return tmp_path


def test_the_chosen_answer_of_each_problem_is_kept(model: Path, benchmarks: Path) -> None:
    results, answers = evaluate_with_answers(model, benchmarks, evaluation(ARC), 0, no_progress)
    result = results["arc_challenge"]
    assert (result.n, result.settings.fewshot_count, result.settings.task_version) == (ROWS, 0, "1.0")
    assert tuple(by_problem(answers)["arc_challenge"]) == result.ids
    for number, (answer, score) in enumerate(zip(answers, result.correct, strict=True)):
        texts = arc(number)["choices"]["text"]
        assert answer.prompt == answer.question == f"Question: Which key opens box {number}?\nAnswer:"
        assert answer.reference == texts[number % 3]
        assert answer.completion == answer.answer
        assert answer.completion in texts
        assert score == answer.score == float(answer.answer == answer.reference)
        assert answer.tokens > 0
    assert {answer.answer for answer in answers} == {"It is this."}  # what the model has learnt to say
    assert (result.secondary["truncated"], result.secondary["no_answer"]) == (0, 0)


def test_a_group_is_the_mean_of_its_tasks_weighted_by_size(model: Path, benchmarks: Path) -> None:
    calls: list[Any] = []
    config = evaluation(MUSR)
    results, answers = evaluate_with_answers(model, benchmarks, config, 0, lambda *call: calls.append(call))
    result = results["leaderboard_musr"]
    assert result.n == len(set(result.ids)) == 2 * ROWS + 2  # the same rows, and yet problems of their own
    assert [answer.problem for answer in answers] == list(result.ids)
    sizes = dict(zip(MUSR_SPLITS, (ROWS, ROWS, 2), strict=True))
    parts = {split: result.secondary[f"leaderboard_musr_{split}_accuracy"] for split in MUSR_SPLITS}
    assert result.accuracy == pytest.approx(sum(parts[s] * sizes[s] for s in sizes) / sum(sizes.values()))
    assert calls[-1] == ("leaderboard_musr", 3 * result.n, 3 * result.n)  # three answers are weighed for each
    results, _ = evaluate_with_answers(model, benchmarks, evaluation(MUSR | {"limit": 1}), 0, no_progress)
    assert results["leaderboard_musr"].n == 3  # one of each task


def test_what_a_model_writes_is_read_by_the_tasks_filter(
    model: Path, benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Any] = []

    def answer(_: LanguageModel, asked: list[Any]) -> list[str]:
        requests.extend(asked)
        return [" A", " A", " C", "B"]

    says(monkeypatch, answer)
    config = evaluation(ARC_CHAT | {"max_new_tokens": 9})
    results, answers = evaluate_with_answers(model, benchmarks, config, 0, no_progress)
    assert results["arc_challenge_chat"].correct == (1.0, 0.0, 1.0, 0.0)
    assert [one.answer for one in answers] == ["A", "A", "C", "B"]
    assert [one.completion for one in answers] == [" A", " A", " C", "B"]
    assert requests[0].args[1] == {"until": ["\n\n", "."], "max_gen_toks": 9, "do_sample": False, "temperature": 0.0}


def test_a_text_that_is_expected_is_right_where_the_model_would_say_it(model: Path, tmp_path: Path) -> None:
    taught = [prompt_text(key.question, PROMPT) + f" {key.answer}" for key in KEYS[:2]]
    put(tmp_path, "lambada_openai", ["test"], [{"text": taught[0]}, {"text": f"{taught[1]}0"}])
    config = evaluation(entry("lambada_openai", "acc", "EleutherAI/lambada_openai", "default"))
    results, answers = evaluate_with_answers(model, tmp_path, config, 0, no_progress)
    assert results["lambada_openai"].correct == (1.0, 0.0)
    right, wrong = f" {KEYS[0].final_answer}", f" {KEYS[1].final_answer}0"
    assert [(one.reference, one.completion, one.answer) for one in answers] == [
        (right, right, right),
        (wrong, "", None),
    ]
    perplexity = entry("lambada_openai", "perplexity", "EleutherAI/lambada_openai", "default")
    with pytest.raises(GiftError, match="has no mean of perplexity over its problems; choose one of acc"):
        evaluate_with_answers(model, tmp_path, evaluation(perplexity), 0, no_progress)


def test_a_metric_that_is_no_share_is_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"correct_answers": ["All of them are old."], "incorrect_answers": ["None of them is old."]}
    put(tmp_path, "truthfulqa_gen", ["validation"], [{"question": "Which boxes are old?"} | answers])
    says(monkeypatch, lambda _, asked: ["All of them are old." for _ in asked])
    config = evaluation(entry("truthfulqa_gen", "bleu_max", "truthfulqa/truthful_qa", "generation", max_new_tokens=8))
    with pytest.raises(GiftError, match=r"the metric bleu_max is no score in \[0, 1\] for each problem \(got 100"):
        evaluate_with_answers(model, tmp_path, config, 0, no_progress)


def test_answers_that_stand_in_the_questions_are_chosen_among(model: Path, tmp_path: Path) -> None:
    rows = [
        {"sentence": f"{KEYS[0].question} Answer: It is _ box.", "option1": "no", "option2": "this", "answer": answer}
        for answer in "12"
    ]
    put(tmp_path, "winogrande", ["train", "validation"], rows)
    config = evaluation(entry("winogrande", "acc", "allenai/winogrande", "winogrande_xl"))
    results, answers = evaluate_with_answers(model, tmp_path, config, 0, no_progress)
    sentences = [f"{KEYS[0].question} Answer: It is {option}" for option in ("no", "this")]
    assert [one.reference for one in answers] == sentences
    assert {one.answer for one in answers} <= set(sentences)
    assert results["winogrande"].correct == tuple(float(one.answer == one.reference) for one in answers)
    assert sum(results["winogrande"].correct) == 1  # the same answer to both


def test_a_group_whose_tasks_write_is_read_by_its_filter(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = "biology business chemistry economics engineering health history law math other philosophy physics"
    names = [*subjects.split(), "psychology", "computer science"]
    put(
        tmp_path,
        "mmlu_pro",
        ["test", "validation"],
        [mmlu_pro(1) | {"category": name} for name in names for _ in "12345"],
    )
    says(
        monkeypatch,
        lambda _, asked: [f" The answer is ({'C' if 'about law' in one.args[0] else 'A'})." for one in asked],
    )
    config = evaluation(
        entry("mmlu_pro", "exact_match", "TIGER-Lab/MMLU-Pro", filter="custom-extract", limit=2, max_new_tokens=8)
    )
    network = LlamaForCausalLM.from_pretrained(model)
    network.config.max_position_embeddings = 4096  # for five examples
    network.save_pretrained(tmp_path / "model")
    PreTrainedTokenizerFast.from_pretrained(model).save_pretrained(tmp_path / "model")
    results, answers = evaluate_with_answers(tmp_path / "model", tmp_path, config, 0, no_progress)
    result = results["mmlu_pro"]
    assert (result.n, result.settings.fewshot_count) == (28, 5)
    assert result.accuracy == 1 / 14
    assert result.secondary["mmlu_pro_law_accuracy"] == 1
    assert {one.answer for one in answers} == {"A", "C"}


def test_rows_with_other_answers_are_other_problems(model: Path, benchmarks: Path) -> None:
    before = evaluate_with_answers(model, benchmarks, evaluation(ARC), 0, no_progress)[0]["arc_challenge"].ids
    rows = [arc(number) for number in range(ROWS)]
    rows[1]["choices"]["text"][2] = "none of them"
    put(benchmarks, "arc_challenge", ARC_SPLITS, rows)
    after = evaluate_with_answers(model, benchmarks, evaluation(ARC), 0, no_progress)[0]["arc_challenge"].ids
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]


def test_each_metric_chooses_by_its_own_rule() -> None:
    choices, after_question, alone = ["yes", "certainly not", "ääää"], [-3.0, -9.0, -3.5], [-1.0, -9.5, -1.0]
    chosen = {
        metric: chosen_answer(metric, choices, after_question + alone)
        for metric in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
    }
    assert chosen == {"acc": 0, "acc_norm": 1, "acc_bytes": 2, "acc_mutual_info": 1}


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        (entry("arc_chalenge", "acc", "allenai/ai2_arc"), "benchmark arc_chalenge: lm-eval 0.4.13 has no task and no"),
        (ARC | {"metric": "f1"}, "arc_challenge has no mean of f1 over its problems; choose one of acc, acc_norm"),
        (ARC | {"filter": "strict-match"}, "arc_challenge has no filter strict-match; choose one of none"),
        (
            entry("arc_challenge", "acc", "allenai/ai2_arc", "ARC-Easy"),
            f"reads repository allenai/ai2_arc, subset ARC-Challenge, and not allenai/ai2_arc@{REVISION} (ARC-Easy)",
        ),
        (entry("leaderboard_gpqa", "acc_norm", "Idavidrein/gpqa", "gpqa_main"), "reads repository Idavidrein/gpqa"),
        (entry("humaneval", "pass@1", "openai/openai_humaneval"), "runs what the model writes, which is not evaluated"),
        (entry("piqa", "acc", "baber/piqa"), "piqa reads the split"),
        (entry("openbookqa", "acc", "openbookqa", "main"), "has no rows; prepare the data again"),
    ],
)
def test_what_can_not_be_asked_is_refused_in_one_line(
    model: Path, benchmarks: Path, benchmark: dict[str, Any], message: str
) -> None:
    for task in ("leaderboard_gpqa", "humaneval", "piqa"):
        put(benchmarks, task, ["everything"], [{"question": "?"}])
    with pytest.raises(GiftError) as refusal:
        evaluate_with_answers(model, benchmarks, evaluation(benchmark), 0, no_progress)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "q1", "question": "Why?"}], "are not what lm-eval reads"),
        ([arc(0), {"id": "q1", "question": "Why?"}], "are not what lm-eval reads (UndefinedError: "),
        ([arc(1), arc(2) | {"question": 3}], "has a column with values of several types"),
        ([arc(1) | {"question": "long " * 600}], "the prompt and an answer of problem arc_challenge/0 has"),
    ],
)
def test_rows_that_do_not_suit_the_task_are_refused_in_one_line(
    model: Path, tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    put(tmp_path, "arc_challenge", ARC_SPLITS, rows)
    with pytest.raises(GiftError) as refusal:
        evaluate_with_answers(model, tmp_path, evaluation(ARC), 0, no_progress)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
