"""Benchmarks: lm-eval on a model folder, one result per problem, paired statistics, the gate's rule.

`harness` alone runs lm-eval; results, statistics and the rule need nothing of it. May import `models`,
`data`, `judge`, `config`, `small_file` and `errors`.
"""
