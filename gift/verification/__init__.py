"""A report held against what it is made of: every number again from the answers, or from the models themselves.

`stored` fetches what a report names, `recompute` needs no model, `decision` is its part about the gate and `outputs`
about all that follows from no answer, `reproduce` evaluates anew, `compare` holds two reports against each other. May
import `report`, `gate`, `evaluation`, `execution`, `judge`, `models`, `data`, `config` and `errors`.
"""
