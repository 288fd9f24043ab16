"""How likely answers are: the same as lm-eval's own class for transformers models says, whatever the batches."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from made_rows import ARC, ARC_SPLITS, ROWS, arc, put
from rote_model import KEYS, PROMPT, evaluate, evaluation, no_progress
from tokenizers.processors import TemplateProcessing
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from gift.config import EvaluationConfig, LmEvalBenchmark, PromptFormat
from gift.data.problems import prompt_text
from gift.errors import GiftError
from gift.evaluation.decoders import TransformersDecoder
from gift.evaluation.language_model import LanguageModel
from gift.evaluation.likelihood import TokenPair, likelihoods
from gift.evaluation.named_tasks import load_named_task
from gift.models.ends import load_tokenizer_and_ends

PAIRS = [
    *((prompt_text(key.question, PROMPT), f" {key.answer}") for key in KEYS),
    *((prompt_text(KEYS[0].question, PROMPT), f" {letter}") for letter in "ABCD"),  # one pass for all of them
    (f"{KEYS[1].question} \n", "which ends in white space"),
    ("", "Nothing is before this."),
]


def request(context: str, continuation: str) -> Any:
    return SimpleNamespace(args=(context, continuation), task_name="made", doc_id=0)


def reader_of(folder: Path, batch_size: int) -> LanguageModel:
    prompt = PromptFormat(template=PROMPT)
    tokenizer, ends = load_tokenizer_and_ends(folder, prompt)
    reader = LanguageModel(folder, tokenizer, ends, prompt)
    reader.decoder = TransformersDecoder(LlamaForCausalLM.from_pretrained(folder), tokenizer, ends, batch_size)
    return reader


def lm_evals_own(folder: Path) -> HFLM:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return HFLM(LlamaForCausalLM.from_pretrained(folder), tokenizer=tokenizer, device="cpu", batch_size=3)


@pytest.fixture(scope="module", params=["bare", "beginning"])
def folder(request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that is known by heart, with a tokenizer that puts a token before each text, and with one that does
    not."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    if request.param == "beginning":
        tokenizer.bos_token = tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{tokenizer.bos_token} $A", special_tokens=[(tokenizer.bos_token, tokenizer.bos_token_id)]
        )
    folder = tmp_path_factory.mktemp(request.param)
    LlamaForCausalLM.from_pretrained(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("batch_size", [1, 5])
def test_log_likelihoods_are_those_of_lm_evals_own_class(folder: Path, batch_size: int) -> None:
    requests = [request(*pair) for pair in PAIRS]
    found = reader_of(folder, batch_size).loglikelihood(requests)
    expected = lm_evals_own(folder).loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    if folder.name.startswith("bare"):  # the model has learnt its answers without a beginning
        assert all(greedy for _, greedy in found[: len(KEYS)])
    assert not any(greedy for _, greedy in found[len(KEYS) :])


def test_a_task_scores_as_under_lm_evals_own_class(folder: Path, tmp_path: Path) -> None:
    put(tmp_path, "arc_challenge", ARC_SPLITS, [arc(number) for number in range(ROWS)])
    result = evaluate(folder, tmp_path, evaluation(ARC), 0, no_progress)["arc_challenge"]
    task = load_named_task(LmEvalBenchmark.model_validate(ARC), tmp_path)
    expected = lm_eval.evaluate(lm_evals_own(folder), {"tasks": task.parts}, bootstrap_iters=0, log_samples=True)
    assert result.accuracy == expected["results"]["arc_challenge"]["acc_norm,none"]
    assert result.secondary["acc"] == expected["results"]["arc_challenge"]["acc,none"]
    assert list(result.correct) == [sample["acc_norm"] for sample in expected["samples"]["arc_challenge"]]


def test_a_batch_gives_what_single_rows_give(model: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(model)
    draw = torch.Generator().manual_seed(0)
    lengths = [(1, 1), (3, 2), (9, 1), (9, 7), (2, 12), (30, 4)]
    pairs = [
        TokenPair(*(tuple(torch.randint(3, 200, (length,), generator=draw).tolist()) for length in both))
        for both in lengths
    ]
    done: list[None] = []
    found = likelihoods(network, pairs, 0, len(pairs), lambda: done.append(None))
    assert len(done) == len(pairs)
    for pair, one in zip(pairs, found, strict=True):
        whole = torch.tensor([[*pair.context, *pair.continuation]])
        log_probabilities = network(whole).logits[0].log_softmax(dim=-1)
        places = range(len(pair.context), whole.shape[1])
        expected = sum(log_probabilities[place - 1, whole[0, place]].item() for place in places)
        assert one.log_probability == pytest.approx(expected, abs=1e-4)


def test_a_model_that_computes_nan_chooses_nothing(model: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(model)
    with torch.no_grad():
        network.lm_head.weight.fill_(float("nan"))
    with pytest.raises(GiftError, match="no finite numbers, so that no answer can be chosen"):
        likelihoods(network, [TokenPair((1, 2), (3,))], 0, 1, lambda: None)


def test_likelihoods_of_whole_documents_are_refused_before_anything_is_asked(model: Path, tmp_path: Path) -> None:
    data = {"repository": "EleutherAI/wikitext_document_level", "subset": "wikitext-2-raw-v1", "revision": "0" * 40}
    put(tmp_path, "wikitext", ["train", "validation", "test"], [{"page": "A page."}])
    config: EvaluationConfig = evaluation({"lm_eval": "wikitext", "metric": "word_perplexity", "data": data})
    with pytest.raises(GiftError, match="wikitext asks for the likelihood of whole documents, which is not evaluated"):
        evaluate(model, tmp_path, config, 0, no_progress)
