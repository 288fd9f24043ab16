"""The policy's view of responses: the log-probabilities of their tokens, with each prompt read once per group.

Policy and reference share these functions, and nothing here knows of rewards, objectives and DeepSpeed. May import
`rollout`, `models`, `config` and `errors`.
"""
