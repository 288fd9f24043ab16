"""Benchmarks: lm-eval on a model folder, a result per problem, paired statistics, and the gate's rule.

Imports models, data, config; only `harness` and `lm_eval_tasks` load lm-eval.
"""
