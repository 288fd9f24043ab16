"""Who may become champion, by a run's gate or by a person's command, who is told of it, and who has been.

    version ──> its checkpoint is whole and finite ──> the gate's verdict ──> the alias moves ──> the webhook

`by_hand` is what people command, `registered_weights` reads what would be promoted, `announce` tells the webhook,
`model_history` looks back on all versions. Moving the alias is the registry's. May import `execution`, `report`,
`gate`, `evaluation`, `registry`, `weights`, `tracking`, `storage`, `config`, `webhook` and `errors`.
"""
