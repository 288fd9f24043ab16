"""Benchmarks: lm-eval on a model folder, every answer, and one score per problem with the standard error of their mean.

`harness` alone runs lm-eval; answers and results need nothing of it. May import `rollout`, `models`, `data`, `judge`,
`config`, `host` and `errors`.
"""
