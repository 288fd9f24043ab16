"""Benchmarks: lm-eval on a model folder, every answer and one score per problem, paired statistics, the gate's rule.

`harness` alone runs lm-eval; answers, results, statistics and the rule need nothing of it. May import `rollout`,
`models`, `data`, `judge`, `config`, `small_file` and `errors`.
"""
