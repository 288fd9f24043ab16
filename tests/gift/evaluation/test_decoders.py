"""Each prompt gets the completion that it gets alone, whoever shares its batch and however often it is asked."""

from pathlib import Path

import pytest
import torch
from rote_model import COINS, KEYS, PROMPT

from gift.config import PromptFormat
from gift.data.tokens import tokenize_prompts
from gift.evaluation.decoders import Decoding, TransformersDecoder
from gift.models.ends import load_tokenizer_and_ends
from gift.models.loading import load_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def decoder(model: Path) -> TransformersDecoder:
    tokenizer, ends = load_tokenizer_and_ends(model, PromptFormat(template=PROMPT))
    return TransformersDecoder(load_model(model, torch.float32, torch.float32, CPU).eval(), tokenizer, ends, 5)


def test_a_prompt_is_completed_as_it_is_alone(decoder: TransformersDecoder, model: Path) -> None:
    """Also where copies of it, as many as of no other, are cut by the end of a batch."""
    tokenizer, _ = load_tokenizer_and_ends(model, PromptFormat(template=PROMPT))
    prompts = tokenize_prompts(tokenizer, [*KEYS[:4], COINS[0]], PromptFormat(template=PROMPT), 1024)
    asked = [prompts[index] for index in (2, 0, 2, 1, 3, 2, 4, 0)]
    greedy = Decoding(max_new_tokens=24, temperature=0.0, until=(), seed=0)
    alone = [decoder.complete([prompt], greedy, lambda: None)[0] for prompt in prompts]
    assert len({tuple(ids) for ids in alone}) == len(alone)
    done: list[None] = []
    found = decoder.complete(asked, greedy, lambda: done.append(None))
    assert found == [alone[index] for index in (2, 0, 2, 1, 3, 2, 4, 0)]
    assert len(done) == len(asked)


def test_prompts_that_are_the_same_are_read_once_a_batch(decoder: TransformersDecoder, model: Path) -> None:
    tokenizer, _ = load_tokenizer_and_ends(model, PromptFormat(template=PROMPT))
    first, second = tokenize_prompts(tokenizer, KEYS[:2], PromptFormat(template=PROMPT), 1024)
    read: list[torch.Tensor] = []
    hook = decoder._model.model.embed_tokens.register_forward_hook(lambda _module, ids, _output: read.append(ids[0]))
    try:
        sampled = Decoding(max_new_tokens=1, temperature=1.0, until=(), seed=0)
        decoder.complete([first, second] * 4, sampled, lambda: None)
    finally:
        hook.remove()
    assert sum(len(ids) for ids in read) == 3, "eight completions in batches of five: two prompts, then one of them"
