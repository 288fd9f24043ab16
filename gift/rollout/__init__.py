"""Sampling engines: prompts in, groups of responses out.

`engine` is what the trainer asks of each; `choose` opens the one that a configuration names. An engine's own
log-probabilities enter a loss only as a weight, where `grpo.importance_cap` asks for it. Nothing is imported with the
package, so that who needs a type alone does not depend on every engine. May import `models`, `weights`, `data`,
`config`, `host` and `errors`.
"""
