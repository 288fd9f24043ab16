r"""What a model is asked and what it is taught to answer, as token ids: one place for SFT, rollouts and benchmarks.

    question ── `prompt` ──> text ── tokenizer ──> ids           <s> Question: What is 2 + 2?\nAnswer:
    answer ───────────────────────── tokenizer ──> ids, an end   4 </s>

Special tokens count where the prompt, or the model's chat template, writes them. In users' texts they are text: a
question about `<|eos|>` must not end anything. They are guarded there, by a character that no text holds, until they
are encoded.

Left out: conversations of several turns, tools, and what a template does with a model's reasoning.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.problems import completion_text, prompt_text
from gift.errors import GiftError

_GUARD = "\ufdd0"  # a noncharacter of Unicode
_TODAY = datetime(2024, 7, 26)
"""What a chat template that writes the date takes for today (Llama 3's own default): a prompt is the same every day."""
_ANSWER = "answer-4711"


def asked_text(tokenizer: PreTrainedTokenizerBase, question: str, prompt: PromptFormat) -> str:
    """What a model is asked, special tokens of the question guarded.

    Raises:
        GiftError: the prompt is the chat template, and the model has none, or it refuses the messages.
    """
    if not prompt.chat:
        return prompt_text(guarded(tokenizer, question), prompt.template)
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    messages = [*system, {"role": "user", "content": question}]
    text = chat_text(tokenizer, messages)
    for message in messages:
        if guarded(tokenizer, message["content"].strip()) not in text:
            raise GiftError(
                f"the chat template of the model in {tokenizer.name_or_path} does not write what the {message['role']} "
                "says as it is; set prompt to a text with {question}, or use another model"
            )
    return text


def chat_text(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, answer_follows: bool = True
) -> str:
    """The messages in the model's chat template, special tokens of their contents guarded; raises as `asked_text`."""
    contents = [{**message, "content": guarded(tokenizer, message["content"])} for message in messages]
    return _rendered(tokenizer, contents, answer_follows=answer_follows)


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, answer_follows: bool) -> str:
    if not tokenizer.chat_template:
        raise GiftError(
            f"prompt is chat, but the model in {tokenizer.name_or_path} has no chat template; "
            "set prompt to a text with {question}, or use an instruct model"
        )
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answer_follows, strftime_now=_TODAY.strftime
        )
    except (TemplateError, TypeError, ValueError) as error:  # the last two are of what a template does with values
        raise GiftError(
            f"the chat template of the model in {tokenizer.name_or_path} refuses the messages: "
            f"{' '.join(str(error).split())}; change system or prompt"
        ) from error
    return text


def guarded(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """The text, in which special tokens are only text."""
    pattern = _special_tokens(tokenizer)
    return pattern.sub(lambda match: match[0][0] + _GUARD + match[0][1:], text) if pattern else text


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompt: PromptFormat) -> list[list[int]]:
    """Token ids of texts with guards. They begin as the tokenizer begins a text, unless a chat template has seen to it,
    and never with that twice; nothing is added at their end.
    """
    if not texts:
        return []  # transformers' own call fails there
    plain = [text.replace(_GUARD, "") for text in texts]
    encoded: list[list[int]] = tokenizer(plain, add_special_tokens=False)["input_ids"]
    beginning = [] if prompt.chat else _beginning(tokenizer)
    return [
        _begun(_piecewise(tokenizer, text) if _GUARD in text else ids, beginning)
        for text, ids in zip(texts, encoded, strict=True)
    ]


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of users' texts: nothing in them is special, and nothing is added."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def answer_ids(tokenizer: PreTrainedTokenizerBase, answers: Sequence[str], prompt: PromptFormat) -> list[list[int]]:
    """Token ids of answers as a model should give them, with the token that ends them."""
    end = turn_end(tokenizer) if prompt.chat else tokenizer.eos_token_id
    bare = prompt.chat or _begins_with_a_space(tokenizer)
    texts = answers if bare else [completion_text(answer) for answer in answers]
    return [[*ids, end] for ids in text_ids(tokenizer, texts)]


def _begins_with_a_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer itself puts a space before a text, as Llama 2's does: two would be another token."""
    first: list[str] = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"][:1])
    return first[:1] != [] and first[0].startswith("▁")


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that the model's chat template writes after an answer; raises as `asked_text`."""
    messages = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": _ANSWER}]
    _, found, rest = _rendered(tokenizer, messages, answer_follows=False).rpartition(_ANSWER)
    if not found:
        raise GiftError(
            f"the chat template of the model in {tokenizer.name_or_path} does not write an answer as it is; "
            "set prompt to a text with {question}, or use another model"
        )
    tokens = sorted(map(str, tokenizer.added_tokens_decoder.values()), key=len, reverse=True)  # special or not
    end = next((token for token in tokens if rest.lstrip().startswith(token)), tokenizer.eos_token)
    token: int = tokenizer.convert_tokens_to_ids(end)
    return token


def _begun(ids: list[int], beginning: list[int]) -> list[int]:
    """A prompt that spells out the beginning-of-sequence token gets no second one."""
    return ids if ids[: len(beginning)] == beginning else beginning + ids


def _beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before a text, but not what it puts after it: a prompt goes on."""
    bare: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a")["input_ids"]
    starts = range(len(whole) - len(bare) + 1)
    return whole[: next((start for start in starts if whole[start : start + len(bare)] == bare), 0)]


def _piecewise(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The special tokens of a text as tokens, and what is between them, guards removed, as text."""
    pattern, ids, start = _special_tokens(tokenizer), list[int](), 0
    settings = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
    takes_space_after = False
    for match in pattern.finditer(text) if pattern else ():
        between, token = text[start : match.start()], settings.get(match[0])
        between = between.lstrip() if takes_space_after else between
        ids += _between(tokenizer, between.rstrip() if token and token.lstrip else between)
        ids.append(tokenizer.convert_tokens_to_ids(match[0]))
        start, takes_space_after = match.end(), bool(token and token.rstrip)
    return ids + _between(tokenizer, text[start:].lstrip() if takes_space_after else text[start:])


def _between(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return text_ids(tokenizer, [text.replace(_GUARD, "")])[0] if text else []


@lru_cache(maxsize=4)
def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """Finds them; None where there are none."""
    tokens = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    longest_first = sorted(tokens | set(tokenizer.all_special_tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
