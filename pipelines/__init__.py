"""The pipelines: one file per DAG, which one can read from its first task to its last.

The folders beside them are rooms of their own: what runs a pipeline stands above (`cli`, `schedules`, `kubeflow`,
`local`), what it is made from below. No torch anywhere in them. May import `experiments`, `components` and `report`.
"""
