"""Sampling engines: prompts in, groups of responses out; every log-probability of a loss is the trainer's own.

`choose` opens the engine that a configuration names; all of them keep the protocol in `engine`. Imports models, data,
config; nothing here is imported with the package, so that who needs a type alone does not depend on every engine.
"""
