r"""Finds the final answer that a response states, as text: after `####`, in `\boxed{}`, or after `Answer:`.

Left out: guessing. A response that states its answer in none of the formats it was asked for has no answer.
"""

import re
from collections.abc import Sequence

from gift.config import AnswerFormat

_MARK = re.compile(r"#### ([^\n]*)")  # the first one counts, as in lm-eval's gsm8k
_ANSWER_LINE = re.compile(r"(?i)answer\s*:\s*([^\n]+)")  # DAPO's expression; the last one counts
_BOX = re.compile(r"\\boxed\s*\{")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_MATH_MODE = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_CLOSING_POINT = re.compile(r"(?<!\\)(?<!\\right)[.,]+$")  # `\,` and `\right.` are LaTeX
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\})(?=\d{3})")


def final_answer(text: str, formats: Sequence[AnswerFormat]) -> str | None:
    """The answer in the first of `formats` that occurs in `text`, cleaned; None when none does."""
    for answer_format in formats:
        found = _find(text, answer_format)
        if found is not None:
            return clean_answer(found) or None
    return None


def clean_answer(text: str) -> str:
    """The bare answer: one line without its box, math mode, emphasis, closing full stop and LaTeX thousands commas."""
    boxed = last_boxed(text)
    text = " ".join((text if boxed is None else boxed).split())
    text = _CLOSING_POINT.sub("", text.strip("* "))
    for left, right in _MATH_MODE:
        if len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right):
            text = text[len(left) : -len(right)].strip()
    return _THOUSANDS.sub("", _CLOSING_POINT.sub("", text)).strip()


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` whose braces balance; None when there is none."""
    for box in reversed(list(_BOX.finditer(text))):
        content = text[box.end() :]
        end = _closing_brace(content)
        if end is not None:
            return content[:end]
    return None


def _find(text: str, answer_format: AnswerFormat) -> str | None:
    match answer_format:
        case "gsm8k":
            mark = _MARK.search(text)
            return mark.group(1) if mark else None
        case "boxed":
            return last_boxed(text)
        case "answer":
            lines = _ANSWER_LINE.findall(text)
            return lines[-1] if lines else None


def _closing_brace(text: str) -> int | None:
    """Where the brace that was opened just before `text` closes; escaped braces don't count."""
    depth = 1
    for brace in re.finditer(r"[{}]", _ESCAPED.sub("  ", text)):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.start()
    return None
