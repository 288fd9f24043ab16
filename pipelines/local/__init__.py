"""Runs on this machine: kfp's local runner in processes or in containers, and the S3 and MLflow servers beside it.

Imports the DAGs, `images`, `machine` and the library.
"""
