"""Trainings that are killed on purpose, to prove that nothing is lost by it.

`resume_check` trains one that is killed again and again and one that is not, and compares their weights. Each attempt
is a process (`attempt`) that launches ranks, which run the training as `killed_rank` and kill when a `Kill` says so.

Nothing in a run imports it. May import `training`, `conversion`, `launch`, `models`, `weights`, `data`, `tracking`,
`storage`, `config`, `host` and `errors`.
"""
