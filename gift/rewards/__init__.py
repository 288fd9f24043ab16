"""Explicit rewards: what a response is worth, as a number.

    responses ──> each reward of the configuration ──> weighted sum, values by name, errors by name

Four kinds: `gsm8k` (the number after `####`, as text), `math` (the judge of final answers), `model` (a sequence
classification model) and `function` (your own). Whatever may hang or crash runs in worker processes with a hard time
limit; what they could not judge counts as 0 and as an error, which is not the same as a wrong answer.

Left out: rewards of single steps or tokens, and of several turns. May import `models`, `data`, `judge`,
`workers`, `config` and `errors`.
"""

from gift.rewards.reward import Response, Reward
from gift.rewards.scorer import Scorer, Scores, open_scorer

__all__ = ["Response", "Reward", "Scorer", "Scores", "open_scorer"]
