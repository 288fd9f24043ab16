r"""Finds the final answer that a response states, as text: after `####`, in `\boxed{}`, or after `Answer:`.

What a comma in an answer means is decided here, and nowhere else: it is ignored where the answer is one number and the
comma parts its digits in threes (`1,234`), and is part of the answer everywhere else (`(1,2)`, `0,1`, `12,34`).

Left out: guessing. A response that states its answer in none of the formats it was asked for has no answer.
"""

import re
from collections.abc import Sequence

from gift.config import AnswerFormat

_MARK = re.compile(r"#### ([^\n]*)")  # the first one counts, as in lm-eval's gsm8k
# The same expression as lm-eval's gsm8k `strict-match`, so that training and benchmark agree on what counts.
_MARKED_NUMBER = re.compile(r"#### (-?[0-9.,]+)")
_ANSWER_LINE = re.compile(r"(?i)answer\s*:\s*([^\n]+)")  # DAPO's expression; the last one counts
_BOX = re.compile(r"\\boxed\s*\{")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_MATH_MODE = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_CLOSING_POINT = re.compile(r"(?<!\\)(?<!\\right)[.,]+$")  # `\,` and `\right.` are LaTeX
# It can't begin with a 0: `0,123` is a decimal fraction to some people, and a pair to others.
_GROUPED_NUMBER = re.compile(r"[+−-]?\\?\$?[+−-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?(?:\\?%)?")
_LATEX_COMMA = r"(?:,\\! ?|\{,\})"
# In LaTeX the comma itself says that it parts digits, so that the number may stand anywhere, as in a fraction.
_GROUPED_IN_LATEX = re.compile(rf"(?<![\d.,}}!])[1-9]\d{{0,2}}(?:{_LATEX_COMMA}\d{{3}})+(?!\d|{_LATEX_COMMA}\d)")


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
    return _GROUPED_IN_LATEX.sub(_without_latex_commas, _CLOSING_POINT.sub("", text)).strip()


def number_after_mark(text: str) -> str | None:
    """The first number after `####`, normalised; None when there is none."""
    match = _MARKED_NUMBER.search(text)
    return (normalise_number(match.group(1)) or None) if match else None


def normalise_number(text: str) -> str:
    """`1,200.`, `$1200` and `1200` are the same answer (thousands commas, a closing full stop or comma)."""
    return without_thousands_commas(text.replace("$", "").rstrip(",").removesuffix(".").rstrip(","))


def without_thousands_commas(text: str) -> str:
    """`1234` for `1,234`; a text that is not one number with its digits in threes stays as it is."""
    return text.replace(",", "") if _GROUPED_NUMBER.fullmatch(text) else text


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


def _without_latex_commas(number: re.Match[str]) -> str:
    return re.sub(_LATEX_COMMA, "", number.group())


def _closing_brace(text: str) -> int | None:
    """Where the brace that was opened just before `text` closes; escaped braces don't count."""
    depth = 1
    for brace in re.finditer(r"[{}]", _ESCAPED.sub("  ", text)):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.start()
    return None
