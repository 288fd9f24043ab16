"""One update step of this trainer beside TRL's, on the same weights, tokens and rewards, by turns.

`measure` starts a process per side, asks each in turn for a step and checks that their gradients are equal; `ours` is
this trainer, `theirs` TRL's GRPOTrainer, and `matrix` what this machine multiplies in a second. `floor` counts what a
step can't do without, `meter` looks at the memory, `results` keeps what was found, `compare` says what became slower.

Nothing in a run imports it, and TRL is imported in its own process alone. May import `training`, `policy`, `report`,
`rollout`, `models`, `algorithms`, `config`, `fingerprint`, `host` and `errors`.
"""
