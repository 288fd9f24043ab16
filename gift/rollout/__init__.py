"""Sampling engines: prompts in, groups of responses out.

An engine is a function `sample(prompts) -> Rollouts` over the current policy; the trainer needs no more of it, and
computes every log-probability itself.
"""
