"""The one judge: what final answer a response states, and whether it is the reference.

    text ── answers ──> final answer ── notation, equality (units, expressions), in a worker ──> right, wrong, unjudged

Rewards, benchmarks and the check of your data ask here, so that the same text gets the same verdict everywhere.
May import `workers` and `config`.
"""
