"""Sampling engines: prompts in, groups of responses out.

`engine` is what the trainer asks of each; `choose` opens the one that a configuration names. An engine's own
log-probabilities never enter a loss. Nothing is imported with the package, so that who needs a type alone does not
depend on every engine. May import `models`, `data`, `config`, `end_with_parent` and `errors`.
"""
