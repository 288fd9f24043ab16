"""Recurring runs: what git says, what the cluster has, and how the second becomes the first.

`schedule` reads git's files, `recurring_runs` the cluster; `plan` finds the difference, `apply` removes it. May import
`kubeflow`, `config` and `errors`.
"""
