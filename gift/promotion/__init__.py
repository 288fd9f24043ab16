"""Who may become champion, by a run's gate or by a person's command, who is told of it, and who has been.

    version ──> its checkpoint is whole and finite ──> the gate's verdict ──> the alias moves ──> the webhook

`by_hand` is what people command, `checkpoint` reads what would be promoted, `announce` tells the webhook, `lineage`
looks back on all versions. Moving the alias is the registry's. May import `execution`, `report`, `gate`, `evaluation`,
`registry`, `weights`, `tracking`, `storage`, `config`, `webhook` and `errors`.
"""
