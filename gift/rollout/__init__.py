"""Sampling engines: prompts in, groups of responses out; every log-probability is the trainer's own."""
