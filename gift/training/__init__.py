"""SFT and RL as loops that one reads from top to bottom (`sft`, `rl`); the other modules are their steps.

Runs inside ranks that `gift.launch` started. Imports rollout, rewards, algorithms, models, launch's job, tracking,
storage.
"""
