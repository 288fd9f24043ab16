"""The one judge: what final answer a response states, and whether it is the reference.

    text ── answers ──> final answer ── in a worker: notation ──> equality ──> right, wrong, unjudged
                                                                    │
                       relations, shapes, quantities, expressions ──┘

Rewards, benchmarks and the check of your data ask here, so that the same text gets the same verdict everywhere.
May import `workers` and `config`.
"""
