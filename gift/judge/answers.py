r"""Finds the final answer that a response states, as text: after `####`, in `\boxed{}`, or after `Answer:`.

What a comma in a text means is decided here: it is ignored where the text is one number and the comma parts its digits
in threes (`1,234`), and is part of the answer everywhere else (`(1,2)`, `0,1`, `12,34`). Only where mathematics is
compared may more stand around such a number (`x = 1,234`; `gift.judge.equality`).

The time it takes is linear in the text. Left out: guessing. A response that states its answer in none of the formats
it was asked for has no answer.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gift.config import AnswerFormat

_MARK = re.compile(r"#### ([^\n]*)")  # the first one counts, as in lm-eval's gsm8k
# The same expression as lm-eval's gsm8k `strict-match`, so that training and benchmark agree on what counts.
_MARKED_NUMBER = re.compile(r"#### (-?[0-9.,]+)")
_ANSWER = re.compile(r"(?i)answer[*_]{0,3}\s{0,3}:")  # the last one counts
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])[ \t\n]{0,8}")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # escaped braces don't count
_UNBRACED = re.compile(r"\\[a-zA-Z]+|[^\s{}\\$]+")
_BETWEEN_BOXES = re.compile(r"(?:[\s$,;]|\\[,;:]|\\q?quad|and|or|\\text\s?\{[\s,]{0,4}(?:and|or)\s{0,4}\})+")
_NO_PROSE = re.compile(r"[\d\\${}=]")
_WORDS_OF_A_SENTENCE = 5
_SPACES = re.compile(r"\s*")
_CLOSED_BY = {"$$": "$$", r"\[": r"\]", "```": "```"}
_OPENING = re.compile(r"```|\$\$|\\\[|\\begin\{([a-z]{1,10}\*?)\}")
# Of a sentence with one verb, what follows it: `The largest $n$ is 34.`
_SENTENCE = re.compile(
    r"(?:the|so|thus|hence|therefore|it|we|there|this|that)\b.*?\b(?:is|are|equals|=)\s(.+)", re.I | re.S
)
_HOPE = re.compile(r"[.\s]{0,4}I hope (?:it|this) is correct.*", re.IGNORECASE | re.DOTALL)  # Minerva's examples end so
_VERB = re.compile(r"\b(?:is|are|was|were|equals|has|have|isn't|aren't)\b", re.IGNORECASE)
_MATH_MODE = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("```", "```"), ("`", "`"), ('"', '"'))
# It can't begin with a 0: `0,123` is a decimal fraction to some people, and a pair to others.
_GROUPED_NUMBER = re.compile(r"[+−-]?\\?\$?[+−-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?(?:\\?%)?")
# LaTeX's own comma or a space says by itself that it parts digits, so that the number may stand anywhere.
# It begins with the first of its digits, as a search from each of them would take time quadratic in their number.
_PARTED_DIGITS = re.compile(
    r"(?<![\d.,}!])(?<!\d )(?<!\\[!,] )"
    r"[1-9]\d{0,2}(?:(?:,\\! ?\d{3})++|(?: ?\{, ?\}\d{3})++|(?:\\, ?\d{3})++|(?: \d{3})++)"
    r"(?!\d| \d|,\\!|\{,\}\d|\\,\d)"
)
_OPERATORS = "\u2062\u2063\u2064"
"""Times, comma and plus."""
_SEARCHED = 10_000
"""Characters after `Answer:` in which an answer is looked for."""
_SEARCHED_BOXES = 1000


def final_answer(text: str, formats: Sequence[AnswerFormat]) -> str | None:
    """The answer in the first of `formats` that holds one in `text`, cleaned; None when none does."""
    text = _visible(text)
    for answer_format in formats:
        answer = clean_answer(_find(text, answer_format) or "")
        if answer:
            return answer
    return None


def clean_answer(text: str) -> str:
    """The bare answer: one line without its box, math mode, emphasis, closing full stop, LaTeX thousands commas and
    invisible characters."""
    text = _visible(text)
    text = _of_sentence(" ".join((last_boxed(text) or text).split()))
    text = _without_closing_point(text.strip("* "))
    for left, right in _MATH_MODE:
        inside = text[len(left) : -len(right)]
        if (
            len(text) >= len(left) + len(right)
            and text.startswith(left)
            and text.endswith(right)
            and left not in inside
        ):
            text = inside.strip()
    return without_parted_digits(_without_closing_point(text)).strip()


def number_after_mark(text: str) -> str | None:
    """The first number after `####`, normalised; None when there is none."""
    match = _MARKED_NUMBER.search(text)
    return (normalise_number(match.group(1)) or None) if match else None


def states_number(text: str, reference: str) -> bool:
    """Whether the first number after `####` is `reference`, as text: what lm-eval's `strict-match` counts of GSM8K.

    lm-eval ignores every comma; here `0,1` and `12,34` are not `01` and `1234`, which GSM8K never asks.
    """
    return number_after_mark(text) == normalise_number(reference)


def normalise_number(text: str) -> str:
    """`1,200.`, `$1200` and `1200` are the same answer (thousands commas, a closing full stop or comma)."""
    return without_thousands_commas(text.replace("$", "").rstrip(",").removesuffix(".").rstrip(","))


def without_thousands_commas(text: str) -> str:
    """`1234` for `1,234`; a text that is not one number with its digits in threes stays as it is."""
    return text.replace(",", "") if _GROUPED_NUMBER.fullmatch(text) else text


def without_parted_digits(text: str) -> str:
    r"""`1234` for `1{,}234`, `1,\!234`, `1\,234` and `1 234`, wherever they stand."""
    return _PARTED_DIGITS.sub(lambda number: re.sub(r"\D", "", number.group()), text)


def last_boxed(text: str) -> str | None:
    r"""What the last `\boxed{}` holds that is closed and neither empty nor prose; None when there is none.

    Boxes with nothing but a comma, `and` or `or` between them are one answer: `\boxed{2}, \boxed{4}` holds `2, 4`.
    """
    boxes = [box for box in _boxes(text) if not box.is_blank(text)]
    if not boxes:
        return None
    last = next((place for place in range(len(boxes) - 1, -1, -1) if not boxes[place].is_prose(text)), len(boxes) - 1)
    joined = [boxes[last]]  # from the last to the first
    for box in reversed(boxes[:last]):
        between = text[box.end : joined[-1].start]
        if not (between.strip(" $") and _BETWEEN_BOXES.fullmatch(between)):
            break
        joined.append(box)
    return ", ".join(dict.fromkeys(text[box.first : box.last] for box in reversed(joined)))


@dataclass(frozen=True)
class _Box:
    """Places in a text: of a box, and of its content."""

    start: int
    first: int
    last: int
    end: int

    def is_blank(self, text: str) -> bool:
        return _SPACES.fullmatch(text, self.first, self.last) is not None

    def is_prose(self, text: str) -> bool:
        """A sentence and no answer: `no real solution` is one."""
        content = text[self.first : self.last]
        return len(content.split()) >= _WORDS_OF_A_SENTENCE and _NO_PROSE.search(content) is None


def _boxes(text: str) -> Iterator[_Box]:
    """The last boxes that close, in one pass over the braces."""
    starts = list(_BOX.finditer(text))[-_SEARCHED_BOXES:]
    if not starts:
        return
    opened_at = {start.end() for start in starts if text.startswith("{", start.end())}
    closed, open_braces = {}, []
    for brace in _BRACE.finditer(text, starts[0].end()):
        if brace.group() == "{":
            open_braces.append(brace.start())
        elif brace.group() == "}" and open_braces:
            opening = open_braces.pop()
            if opening in opened_at:
                closed[opening] = brace.start()
    for start in starts:
        if (end := closed.get(start.end())) is not None:
            yield _Box(start.start(), start.end() + 1, end, end + 1)
        elif start.end() not in opened_at and (piece := _UNBRACED.match(text, start.end())):
            yield _Box(start.start(), piece.start(), piece.end(), piece.end())


def _find(text: str, answer_format: AnswerFormat) -> str | None:
    match answer_format:
        case "gsm8k":
            mark = _MARK.search(text)
            return mark.group(1) if mark else None
        case "boxed":
            return last_boxed(text)
        case "answer":
            return _after_answer(text)


def _after_answer(text: str) -> str | None:
    """What the last `Answer:` is followed by: its line, and more of them while math mode or a matrix is open."""
    end = max((found.end() for found in _ANSWER.finditer(text)), default=None)
    if end is None:
        return None
    rest = text[end : end + _SEARCHED].lstrip(" \t\r\n*_")
    line = rest.partition("\n")[0]
    opening = _OPENING.search(line)
    if opening is not None:
        closing = rf"\end{{{opening.group(1)}}}" if opening.group(1) else _CLOSED_BY[opening.group()]
        closed_at = rest.find(closing, opening.end())
        if closed_at >= 0:
            stop = closed_at + len(closing)
            line = rest[:stop] + rest[stop:].partition("\n")[0]
    return line.strip(" *_")


def _visible(text: str) -> str:
    """Without marks of order, joiners and the like, which nobody sees; invisible operators are mathematics."""
    if text.isascii():
        return text
    return "".join(sign for sign in text if sign in _OPERATORS or unicodedata.category(sign) != "Cf")


def _of_sentence(line: str) -> str:
    line = _HOPE.sub("", line)
    sentence = _SENTENCE.match(line)
    return sentence.group(1) if sentence and len(_VERB.findall(line)) == 1 else line


def _without_closing_point(text: str) -> str:
    r"""`\,` and `\right.` are LaTeX, and no points; `...` says that something follows."""
    bare = text.rstrip(",")
    bare = bare if bare.endswith("..") else bare.removesuffix(".").rstrip(",")
    if bare.endswith(("\\", r"\right")) and bare != text:
        bare = text[: len(bare) + 1]
    return bare
