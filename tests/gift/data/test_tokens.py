"""Tokenization for training: exact boundaries, and nothing that does not fit is cut."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gift.config import PromptFormat
from gift.data.problems import Problem, completion_text, prompt_text
from gift.data.tokenizer import train_tokenizer
from gift.data.tokens import pad_left, pad_right, response_text, tokenize_demonstrations, tokenize_prompts
from gift.errors import GiftError

TEMPLATE = "Question: {question}\nAnswer:"
PROMPT = PromptFormat(template=TEMPLATE)
PROBLEMS = [
    Problem("short", "1 + 1?", "1 + 1 = 2\n#### 2", "2"),
    Problem("long", "What is one and one and one and one?", "It is 4.\n#### 4", "4"),
]
TOKENIZER = train_tokenizer([prompt_text(p.question, TEMPLATE) + completion_text(p.answer) for p in PROBLEMS], 300)


def test_a_demonstration_is_prompt_completion_and_end_of_sequence() -> None:
    demonstration = tokenize_demonstrations(TOKENIZER, PROBLEMS, PROMPT, 256)[0]
    assert TOKENIZER.decode(demonstration.prompt) == "Question: 1 + 1?\nAnswer:"
    assert demonstration.completion[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.decode(demonstration.completion[:-1]) == " 1 + 1 = 2\n#### 2"
    assert demonstration.prompt == tokenize_prompts(TOKENIZER, PROBLEMS, PROMPT, 256)[0]


def test_what_does_not_fit_is_refused_by_id() -> None:
    length = len(tokenize_demonstrations(TOKENIZER, PROBLEMS, PROMPT, 256)[1])
    tokenize_demonstrations(TOKENIZER, PROBLEMS, PROMPT, length)
    with pytest.raises(GiftError, match=rf"demonstration long has {length} tokens, the context holds {length - 1}"):
        tokenize_demonstrations(TOKENIZER, PROBLEMS, PROMPT, length - 1)
    with pytest.raises(GiftError, match=r"prompt short has \d+ tokens, rollout.max_prompt_tokens is 5"):
        tokenize_prompts(TOKENIZER, PROBLEMS, PROMPT, 5)


def test_the_template_is_the_prompt() -> None:
    template = PromptFormat(template="Solve {this}: {question} Say {it}.")
    (prompt, *_) = tokenize_prompts(TOKENIZER, PROBLEMS, template, 256)
    assert TOKENIZER.decode(prompt) == "Solve {this}: 1 + 1? Say {it}."
    assert tokenize_demonstrations(TOKENIZER, PROBLEMS, template, 256)[0].prompt == prompt


def test_a_demonstration_without_a_worked_answer_is_refused_by_id() -> None:
    with pytest.raises(GiftError, match=r"demonstration bare has no worked answer; remove it, or set sft\.steps to 0"):
        tokenize_demonstrations(TOKENIZER, [*PROBLEMS, Problem("bare", "2 + 2?", "", "4")], PROMPT, 256)


def test_nothing_to_tokenize_is_nothing() -> None:
    assert tokenize_demonstrations(TOKENIZER, [], PROMPT, 256) == tokenize_prompts(TOKENIZER, [], PROMPT, 256) == []
    for ids, mask in (pad_left([], pad=9), pad_right([], pad=9)):
        assert (ids.shape, ids.dtype) == ((0, 0), torch.int64)
        assert (mask.shape, mask.dtype) == ((0, 0), torch.bool)


def test_a_response_is_read_with_the_spaces_that_it_has_whatever_the_tokenizer_would_clean_up() -> None:
    words = {"</s>": 0, "▁x": 1, "▁!": 2, "=": 3, "▁'": 4, "▁y": 5, "▁.": 6}
    words_for_spaces = Tokenizer(models.WordLevel(words, unk_token="</s>"))
    words_for_spaces.pre_tokenizer, words_for_spaces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words_for_spaces, eos_token="</s>", clean_up_tokenization_spaces=True
    )
    assert response_text(tokenizer, [1, 2, 3, 4, 5, 4, 6, 0], ends=[0]) == "x != ' y ' ."


def test_padding_on_either_side() -> None:
    ids, mask = pad_right([[1, 2], [3]], pad=9)
    assert ids.tolist() == [[1, 2], [3, 9]]
    assert mask.tolist() == [[True, True], [True, False]]
    ids, mask = pad_left([[1, 2], [3]], pad=9)
    assert ids.tolist() == [[1, 2], [9, 3]]
    assert mask.tolist() == [[True, True], [False, True]]
