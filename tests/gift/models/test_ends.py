"""What ends a response: the shapes in which well-known models say it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_folders import VOCABULARY, llama, save
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from gift.config import PromptFormat
from gift.data.prompts import text_ids
from gift.errors import GiftError
from gift.models.ends import load_tokenizer_and_ends, response_ends

RAW, CHAT = PromptFormat(template="{question}"), PromptFormat(template="chat")
WORDS = ("<eos>", "<|end|>", "<end_of_turn>", "one", "4", "answer", "-", "4711")
TOKENIZER = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="one")),
    eos_token="<eos>",
    additional_special_tokens=["<|end|>", "<end_of_turn>"],
)


def ends(folder: Path, generation: Any, config: Any = None, prompt: PromptFormat = RAW) -> tuple[int, ...]:
    for name, values in (("generation_config.json", generation), ("config.json", config)):
        if values is not None:
            (folder / name).write_text(json.dumps(values))
    return response_ends(folder, TOKENIZER, prompt)


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        (None, None, (0,)),
        ({}, {}, (0,)),
        ({"eos_token_id": 0}, None, (0,)),
        ({"eos_token_id": 1}, None, (0, 1)),  # the tokenizer's ends a response, too
        ({"eos_token_id": [2, 0, 1]}, None, (0, 2, 1)),  # a list, as Llama 3, Phi and Qwen have it
        ({"eos_token_id": [1]}, {"eos_token_id": 2}, (0, 1)),
        ({"temperature": 0.6}, {"eos_token_id": 2}, (0, 2)),
        (None, {"eos_token_id": [1, 2]}, (0, 1, 2)),
        (None, {"text_config": {"eos_token_id": 2}}, (0, 2)),
        ({"eos_token_id": None}, {"eos_token_id": None}, (0,)),
    ],
)
def test_the_tokenizer_and_the_model_say_it_together(
    tmp_path: Path, generation: Any, config: Any, expected: tuple[int, ...]
) -> None:
    assert ends(tmp_path, generation, config) == expected


def test_in_a_chat_the_template_says_it_too(tmp_path: Path) -> None:
    TOKENIZER.chat_template = "{% for m in messages %}{{ m.content }}<end_of_turn>\n{% endfor %}"
    assert ends(tmp_path, {"eos_token_id": [1]}, prompt=CHAT) == (0, 1, 2)
    assert ends(tmp_path, {"eos_token_id": [1]}) == (0, 1)


@pytest.mark.parametrize("end", [8, -1, "<eos>", True, 1.0, [0, 99]])
def test_an_end_that_the_tokenizer_does_not_have_is_refused(tmp_path: Path, end: Any) -> None:
    with pytest.raises(GiftError, match=r"ends its responses with the token .+, which its tokenizer does not have"):
        ends(tmp_path, {"eos_token_id": end})


@pytest.mark.parametrize(("text", "message"), [("{", "can't be read as JSON"), ("[]", "holds no JSON object")])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(GiftError, match=message):
        response_ends(tmp_path, TOKENIZER, RAW)


def test_an_end_is_special_however_the_model_marked_it(tmp_path: Path) -> None:
    network = llama(vocab_size=VOCABULARY + 1)
    network.generation_config.eos_token_id = [VOCABULARY]
    save(network, tmp_path)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    tokenizer.add_tokens([AddedToken("<|end|>", special=False)])
    tokenizer.save_pretrained(tmp_path)
    loaded, found = load_tokenizer_and_ends(tmp_path, RAW)
    assert found == (loaded.eos_token_id, VOCABULARY)
    assert loaded.convert_ids_to_tokens(VOCABULARY) == "<|end|>"
    (ids,) = text_ids(loaded, ["What is <|end|>?"])
    assert VOCABULARY not in ids
    assert loaded.decode(ids) == "What is <|end|>?"
    assert loaded.decode([*ids, VOCABULARY], skip_special_tokens=True) == "What is <|end|>?"
