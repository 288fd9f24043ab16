"""Sampling engines: prompts in, groups of responses out.

`engine` is what the trainer asks of each; `choose` opens the one that a configuration names. An engine's own
log-probabilities never enter a loss. May import `models`, `data`, `config`, `end_with_parent` and `errors`.
"""

from gift.rollout.choose import open_engine

__all__ = ["open_engine"]
