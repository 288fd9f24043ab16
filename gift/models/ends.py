"""Which tokens end a response: one definition for rollouts and their masks, for both engines, metrics and benchmarks.

Most instruct models end with another token than the tokenizer's end-of-sequence token, and name it in
`generation_config.json`. Left out: stop strings, and what else that file says; it has no say in how responses are
sampled here.
"""

from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.prompts import turn_end
from gift.errors import GiftError
from gift.models.loading import load_tokenizer
from gift.weights.stored_weights import read_json_object


def load_tokenizer_and_ends(folder: Path, prompt: PromptFormat) -> tuple[PreTrainedTokenizerBase, tuple[int, ...]]:
    """The tokenizer of a model folder, to which its ends are special tokens, and `response_ends`.

    A fine-tuned model may have added its end as an ordinary token, which in a text would be the end itself.

    Raises: as `gift.models.loading.load_tokenizer` and `response_ends`.
    """
    tokenizer = load_tokenizer(folder)
    ends, added = response_ends(folder, tokenizer, prompt), tokenizer.added_tokens_decoder
    special = [added[end].content for end in ends if end in added]
    tokenizer.add_special_tokens({"additional_special_tokens": special}, replace_extra_special_tokens=False)
    return tokenizer, ends


def response_ends(folder: Path, tokenizer: PreTrainedTokenizerBase, prompt: PromptFormat) -> tuple[int, ...]:
    """The tokenizer's end-of-sequence token, and then those of the model in `folder`: of its `generation_config.json`,
    or of its `config.json` where that names none; in a chat also the one that its template writes after an answer.

    Raises:
        GiftError: an end is no token id of the tokenizer, or a file is no JSON object.
    """
    named = _named(folder / "generation_config.json") or _named(folder / "config.json")
    for token in named:
        if not _is_token(token, tokenizer):
            raise GiftError(
                f"the model in {folder} ends its responses with the token {token!r:.40}, which its tokenizer does not "
                "have; correct eos_token_id in its generation_config.json"
            )
    chat = [turn_end(tokenizer)] if prompt.chat else []
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *named, *chat]))


def _is_token(token: Any, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Vocabularies may have gaps, so that an id below their size may be none, and one above it one."""
    is_id = isinstance(token, int) and not isinstance(token, bool) and 0 <= token < 2**31
    return is_id and tokenizer.convert_ids_to_tokens(token) is not None


def _named(path: Path) -> list[Any]:
    """`eos_token_id` in a model's file: one id or a list of them; none where the file has none."""
    if not path.exists():
        return []
    values = read_json_object(path)
    ends = values.get("eos_token_id")
    if ends is None and isinstance(values.get("text_config"), dict):
        ends = values["text_config"].get("eos_token_id")
    return ends if isinstance(ends, list) else [ends] if ends is not None else []
