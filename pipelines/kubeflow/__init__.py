"""Kubeflow Pipelines: compiling for a cluster, what its tasks ask of Kubernetes, lint, KFP's API, following a run.

Imports the DAGs and the library; schedules build on it.
"""
