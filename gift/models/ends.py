"""Which tokens end a response: one definition for rollouts and their masks, for both engines, metrics and benchmarks.

Most instruct models end with another token than the tokenizer's end-of-sequence token, and name it in
`generation_config.json`. Left out: stop strings, and what else that file says; it has no say in how responses are
sampled here.
"""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.prompts import turn_end
from gift.errors import GiftError


def response_ends(folder: Path, tokenizer: PreTrainedTokenizerBase, prompt: PromptFormat) -> tuple[int, ...]:
    """The tokenizer's end-of-sequence token, and then those of the model in `folder`: of its `generation_config.json`,
    or of its `config.json` where that names none; in a chat also the one that its template writes after an answer.

    Raises:
        GiftError: an end is no token id of the tokenizer, or a file is no JSON object.
    """
    named = _named(folder / "generation_config.json") or _named(folder / "config.json")
    for token in named:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < len(tokenizer):
            raise GiftError(
                f"the model in {folder} ends its responses with the token {token!r:.40}, which its tokenizer (of "
                f"{len(tokenizer)} tokens) does not have; correct eos_token_id in its generation_config.json"
            )
    chat = [turn_end(tokenizer)] if prompt.chat else []
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *named, *chat]))


def _named(path: Path) -> list[Any]:
    """`eos_token_id` in a model's file: one id or a list of them; none where the file has none."""
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GiftError(f"{path} can't be read as JSON ({type(error).__name__})") from error
    if not isinstance(values, dict):
        raise GiftError(f"{path} must hold a JSON object")
    ends = values.get("eos_token_id")
    if ends is None and isinstance(values.get("text_config"), dict):
        ends = values["text_config"].get("eos_token_id")
    return ends if isinstance(ends, list) else [ends] if ends is not None else []
