"""All versions of a registered model over time, with who was champion when: a table, and a page with charts.

`schema` is what is known, which `gift.promotion.model_history` finds out; `chart`, `table` and `html` show it.
"""
