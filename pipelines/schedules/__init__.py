"""Recurring runs: what git says (`schedule`), what a cluster has (`recurring_runs`), and from one to the other.

`plan` finds the difference, `apply` removes it. Imports `kubeflow` and the library.
"""
