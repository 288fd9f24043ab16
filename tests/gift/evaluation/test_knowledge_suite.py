"""The knowledge suite on a few made rows in each data set's format, with a real tiny model and lm-eval's own code."""

import random
from pathlib import Path

import lm_eval
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from made_rows import KNOWLEDGE, ROWS, gpqa, put
from rote_model import PROMPT, evaluate_with_answers, evaluation, no_progress
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from gift.config import PromptFormat, load_profile
from gift.errors import GiftError
from gift.evaluation.answers import by_problem
from gift.evaluation.harness import evaluate_model
from gift.evaluation.named_tasks import load_named_task
from gift.evaluation.sampled import sampled_metrics

SUITE = {"suite": "knowledge"}


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    for task, (splits, row) in KNOWLEDGE.items():
        put(folder, task, splits, [row(number) for number in range(ROWS + 1)])
    return folder


@pytest.fixture(scope="module")
def reader(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, with a context that holds the examples of MMLU-Pro."""
    folder = tmp_path_factory.mktemp("reader")
    network = LlamaForCausalLM.from_pretrained(model)
    network.config.max_position_embeddings = 4096
    network.save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(model).save_pretrained(folder)
    return folder


def test_one_line_of_a_profile_is_the_whole_suite() -> None:
    config = load_profile(
        "local", ("evaluation.benchmarks=[{task: heldout, max_new_tokens: 8}, {suite: knowledge, limit: 7}]",)
    )
    ours, *named = config.evaluation.benchmarks
    assert ours.task == "heldout"
    assert [one.task for one in named] == list(KNOWLEDGE)
    assert {one.limit for one in named} == {7}
    assert ours.limit is None
    assert (
        load_profile("local", ("evaluation.benchmarks=[{task: heldout, max_new_tokens: 8}, {suite: knowledge}]",))
        != config
    )


@pytest.mark.parametrize("entry", ["{suite: wisdom}", "{suite: knowledge, samples: 4}"])
def test_another_suite_or_another_key_is_refused(entry: str) -> None:
    with pytest.raises(GiftError, match="a suite is one of knowledge, with nothing but a limit beside it"):
        load_profile("local", (f"evaluation.benchmarks=[{{task: heldout}}, {entry}]",))


def test_every_task_is_asked_and_scored_as_under_lm_evals_own_class(reader: Path, benchmarks: Path) -> None:
    config = evaluation(SUITE | {"limit": ROWS})
    results, answers = evaluate_with_answers(reader, benchmarks, config, 0, no_progress)
    assert list(results) == list(KNOWLEDGE)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(reader)
    own = HFLM(LlamaForCausalLM.from_pretrained(reader), tokenizer=tokenizer, device="cpu", batch_size=4)
    for benchmark in config.benchmarks:
        result, parts = results[benchmark.task], load_named_task(benchmark, benchmarks).parts
        for part in parts.values():
            part.set_fewshot_seed(1234)
        expected = lm_eval.evaluate(own, {"tasks": parts}, limit=ROWS, bootstrap_iters=0, log_samples=True)
        scores = [sample[benchmark.metric] for part in parts for sample in expected["samples"][part]]
        assert result.correct == pytest.approx(scores, abs=1e-4), benchmark.task
        prompts = [sample["arguments"][0][0] for part in parts for sample in expected["samples"][part]]
        kept = by_problem(answers)[benchmark.task]
        assert list(kept) == list(result.ids)
        assert [answer.score for found in kept.values() for answer in found] == list(result.correct)
        assert result.secondary.items() >= sampled_metrics(kept).items()  # as `gift report verify` asks
        assert [answer.prompt for found in kept.values() for answer in found] == prompts
        assert all(answer.completion and answer.reference for found in kept.values() for answer in found)
    assert results["leaderboard_musr"].n == 3 * ROWS
    assert results["leaderboard_mmlu_pro"].settings.fewshot_count == 5
    assert {"accuracy_amb", "disamb_bias_score", "disamb_bias_score_Age"} <= results["bbq"].secondary.keys()


def test_shuffled_answers_are_the_same_for_every_model(reader: Path, benchmarks: Path) -> None:
    task = "leaderboard_gpqa_main"
    suite = evaluation(SUITE).model_dump(mode="json")["benchmarks"]
    config = evaluation(*(one for one in suite if one.get("lm_eval") == task))
    found = []
    for seed in (1, 2):
        random.seed(seed)
        results, answers = evaluate_with_answers(reader, benchmarks, config, seed, no_progress)
        found.append([(answer.problem, answer.prompt, answer.reference) for answer in answers])
        assert results[task].n == ROWS + 1
    assert found[0] == found[1]
    for number, (_, prompt, reference) in enumerate(found[0]):  # what is shown is what is scored
        assert f"{reference} {gpqa(number)['Correct Answer']}\n" in prompt
    assert len({reference for _, _, reference in found[0]}) > 1


def test_the_suite_is_asked_in_the_models_chat_template(reader: Path, benchmarks: Path, tmp_path: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(reader)
    tokenizer.chat_template = (
        "{% for message in messages %}[{{ message.role }}] {{ message.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    LlamaForCausalLM.from_pretrained(reader).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config, prompt = evaluation(SUITE | {"limit": 2}), PromptFormat(template="chat")
    results, answers = evaluate_model(tmp_path, benchmarks, config, prompt, 0, torch.device("cpu"), no_progress)
    assert {result.settings.asked_in for result in results.values()} == {"the model's chat template"}
    assert all(answer.prompt.endswith(f"{tokenizer.eos_token}[assistant] ") for answer in answers)
    assert PROMPT.partition("{")[0] not in next(answer.prompt for answer in answers if answer.benchmark == "bbq")


def test_a_task_that_needs_what_is_not_installed_is_refused(reader: Path, tmp_path: Path) -> None:
    data = {"repository": "google/IFEval", "revision": "966cd89545d6b6acfd7638bc708b98261ca58e84"}
    row = {
        "key": 1,
        "prompt": "Say yes.",
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{"relation": None}],
    }
    put(tmp_path, "ifeval", ["train"], [row])
    config = evaluation({"lm_eval": "ifeval", "metric": "prompt_level_strict_acc", "data": data})
    with pytest.raises(GiftError, match="benchmark ifeval: lm-eval needs the package langdetect for it; install it"):
        evaluate_with_answers(reader, tmp_path, config, 0, no_progress)
