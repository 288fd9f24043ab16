"""Who may become champion, by a run's gate or by a person's command, and who is told of it.

    version ──> its checkpoint is whole and finite ──> the gate's verdict ──> the alias moves ──> the webhook

`by_hand` is what people command, `checkpoint` reads what would be promoted, `announce` tells the webhook. Moving the
alias is the registry's. May import `execution`, `evaluation`, `registry`, `weights`, `tracking`, `storage`,
`webhook` and `errors`.
"""
