"""Experiments as plain data: which variants are compared, and every configuration that they need.

One file per experiment; `experiment` turns one and a profile into configurations, and pipelines/experiment.py is the
DAG that runs them. May import `stages`, `report`, `rewards`,
`data`, `config`, `fingerprint` and `errors`.
"""
