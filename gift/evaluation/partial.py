"""Does a model know a benchmark by heart? It gets the first 60 % of a problem's words, and goes on, greedily.

    Which key opens the │ old box 3?        known by heart where the model says `old box 3?` first

What was never seen is hardly ever completed word by word: Wu et al. 2025 (arXiv 2507.10532) report 54.6 % of MATH-500
for Qwen2.5-Math-7B, 3.8 % for Llama 3.1 8B, and 0 % for both on problems that are younger than the models.

Left out: ROUGE-L, their measure of what is nearly completed, and whether the incomplete problem is answered.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from gift.config import PromptFormat
from gift.data.problems import Problem
from gift.evaluation.scoring import Mark

BARE_PROMPT = PromptFormat(template="{question}", system=None)
"""No instruction and no chat: the text as it may have stood in what the model was trained on."""


def partial_problem(problem: Problem) -> Problem:
    """Three fifths of its words, rounded down, as the question, and the others as the final answer."""
    words = list(re.finditer(r"\S+", problem.question))
    given = words[: max(1, len(words) * 3 // 5)]
    end = given[-1].end() if given else 0
    return replace(problem, question=problem.question[:end], final_answer=problem.question[end:].strip())


def completion_marks(completions: Sequence[str], rest: str) -> list[Mark]:
    """Right is a completion that begins with all words of the rest; nothing is right where there is no rest."""
    sought = rest.split()
    found = [completion.split()[: len(sought)] for completion in completions]
    return [Mark(" ".join(words), bool(sought) and words == sought) for words in found]
