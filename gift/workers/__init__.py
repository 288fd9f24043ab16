"""Worker processes with a hard time limit per task, for what may hang or crash: judging mathematics, your own rewards.

`pool` is the parent's side, `program` what each process runs. May import `host` and `errors`.
"""
