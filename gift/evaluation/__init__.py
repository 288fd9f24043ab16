"""Benchmarks: lm-eval on a model folder, one result per problem, paired statistics, the gate's rule.

Only `harness`, `lm_eval_tasks` and `scoring` know lm-eval; results, statistics and the rule need nothing of it. May
import `models`, `data`, `config` and `errors`.
"""
