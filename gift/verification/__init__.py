"""A report held against what it is made of: every number again from the answers, or from the models themselves.

`stored` fetches what a report names, `recompute` needs no model, `again` evaluates anew, `beside` holds two reports
against each other. May import `report`, `gate`, `evaluation`, `execution`, `judge`, `models`, `config` and `errors`.
"""
