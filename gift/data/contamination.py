"""Benchmark problems in what is trained on: which rows hold one, and how many of each benchmark.

    a row to train on ── its runs of 13 words ──> problems with the same runs ──> how many, and whether all of it

Two rules. A problem is *trained on* where one row has all of it: each word and sign, in its order; case, punctuation,
brackets, dollar signs, white space and forms of Unicode don't count. It *overlaps* with a row that has at least 60 % of
its runs of 13 words: the same problem in other LaTeX, and also its sisters, which ask the same of other numbers. A
problem of fewer than 13 words is compared as a whole. Each character of Chinese, Japanese, Korean and Thai is a word,
as spaces there part none, or not always. (13 and 60 % are those of Qwen2.5, arXiv 2412.15115, for the longest common
subsequence, which takes the product of both lengths.)

Linear in the data: one table has the runs of all benchmarks, and every row is read once. Left out: paraphrases,
translations, and what the base model was trained on before.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gift.data.cleaning import folded
from gift.data.problems import Problem
from gift.data.scored import ScoredProblem

RUN_WORDS = 13
OVERLAP = 0.6
# Thai, kana, Han, Hangul, and Han beyond 16 bits.
_ALONE = r"\u0e00-\u0e7f\u3005-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
_WORD = rf"[^\W_{_ALONE}]+|[^\W_]"
_WORDS = re.compile(_WORD)
_WORDS_AND_SIGNS = re.compile(rf"{_WORD}|[-+*/=<>^|!%\xd7\xf7\xb7\u2212]")  # the last four: × ÷ · and a minus

Run = tuple[str, ...]


@dataclass(frozen=True)
class TestedProblem:
    """A problem that a benchmark asks."""

    benchmark: str
    place: int
    """In its benchmark, from 0: ids need not be unique."""
    id: str
    question: str


@dataclass(frozen=True)
class Match:
    """A benchmark problem that a row overlaps with."""

    tested: TestedProblem
    whole: bool
    """The row has all of it."""


@dataclass(frozen=True)
class Contamination:
    """How many problems of one benchmark are in what is trained on."""

    problems: int
    """Of the benchmark."""
    trained_on: int
    overlapping: int
    """With a row; those that are trained on are among them."""


@dataclass(frozen=True)
class ProblemIndex:
    """The problems of all benchmarks, to be looked up by runs of words."""

    sizes: Mapping[str, int]
    """Benchmark → its problems."""
    by_run: Mapping[Run, Sequence[TestedProblem]]
    runs: Mapping[TestedProblem, int]
    """How many there are of a problem."""


def index_problems(benchmarks: Mapping[str, Sequence[Problem]]) -> ProblemIndex:
    """Benchmark → its problems, as they are looked up."""
    by_run: dict[Run, list[TestedProblem]] = {}
    counts: dict[TestedProblem, int] = {}
    for benchmark, problems in benchmarks.items():
        for place, problem in enumerate(problems):
            tested = TestedProblem(benchmark, place, problem.id, problem.question)
            runs = _runs(problem.question)
            counts[tested] = len(runs)
            for run in runs:
                by_run.setdefault(run, []).append(tested)
    return ProblemIndex({benchmark: len(problems) for benchmark, problems in benchmarks.items()}, by_run, counts)


def matches_of(row: Problem | ScoredProblem, index: ProblemIndex) -> list[Match]:
    """The benchmark problems that a row to train on overlaps with, in its question, its answer or a response."""
    texts = (row.question, row.answer, *getattr(row, "responses", ()))
    shared: Counter[TestedProblem] = Counter()
    for run in set[Run]().union(*map(_runs, texts)) & index.by_run.keys():
        shared.update(index.by_run[run])
    return [
        Match(tested, any(_has_all(text, tested.question) for text in texts))
        for tested, count in shared.items()
        if count >= OVERLAP * index.runs[tested]
    ]


def count_matches(matches: Iterable[Match], index: ProblemIndex) -> dict[str, Contamination]:
    """Benchmark → how many of its problems are among the matches of all rows."""
    overlapping, trained_on = set[TestedProblem](), set[TestedProblem]()
    for match in matches:
        overlapping.add(match.tested)
        trained_on |= {match.tested} if match.whole else set()
    overlaps, trained = (Counter(tested.benchmark for tested in found) for found in (overlapping, trained_on))
    return {name: Contamination(size, trained[name], overlaps[name]) for name, size in index.sizes.items()}


def _runs(text: str) -> set[Run]:
    """All runs of 13 words; of a shorter text the whole."""
    words = _WORDS.findall(folded(text))
    if len(words) < RUN_WORDS:
        return {tuple(words)} if words else set()
    return set(zip(*(words[start:] for start in range(RUN_WORDS)), strict=False))


def _has_all(text: str, question: str) -> bool:
    """Whether the text has the question; of a short one, whether it is the question: `2 + 2` stands in many texts."""
    if len(_WORDS.findall(folded(question))) < RUN_WORDS:
        return _with_signs(text) == _with_signs(question)
    return f" {_with_signs(question)} " in f" {_with_signs(text)} "


def _with_signs(text: str) -> str:
    return " ".join(_WORDS_AND_SIGNS.findall(folded(text)))
