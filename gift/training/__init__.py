"""SFT and RL, as two loops that one reads from top to bottom (`sft`, `rl`); the other modules are their steps.

Runs inside the ranks that `launch` starts, and finds its task in a `TrainingJob`. May import `policy`, `rollout`,
`rewards`, `launch`, `models`, `weights`, `data`, `algorithms`, `tracking`, `storage`, `patience`, `config`, `progress`
and `errors`.
"""
