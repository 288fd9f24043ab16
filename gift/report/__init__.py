"""What a run or an experiment found out: JSON that programs rely on, and a page for people.

`schema` is the JSON of a run, `comparison` all of an experiment's, `model_history` shows the versions of a registered
model over time. Nothing here decides a model or a number. May import `evaluation`, `data`, `tracking`, `config`, `host`
and `errors`.
"""
