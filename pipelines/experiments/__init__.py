"""Experiments as plain data: which variants are compared, and every configuration that they need.

The DAG that runs one is `pipelines.experiment`. Imports the library.
"""
