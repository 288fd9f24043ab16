"""The gate: whether a candidate is better than other models, problem by problem, and what a benchmark can show at all.

    results of candidate, SFT, champion, base ──> `paired` differences and tests ──> `verdict`: promote, keep, undecided

`power` says before a run how small a difference its gate can show. Left out: who acts on a verdict (`promotion`).
May import `evaluation`, `data`, `config` and `errors`.
"""
