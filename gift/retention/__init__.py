"""What a store keeps, and what can go: nothing that a model version, a run or a rule needs.

    MLflow: versions, runs ──> needed ──> and all that it was made from ──> the rest of the store: leftovers

A store belongs to one MLflow server: what only another one knows about counts as needed by nobody. Left out: MLflow's
own runs and files, KFP's, and copies from the hub (`mirror/`), which nothing here could make anew. May import
`execution`, `tracking`, `storage` and `errors`.
"""
