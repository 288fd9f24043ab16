"""How much is measured: all of it in eight minutes of a GPU, or next to nothing. Imports nothing but Python."""

from dataclasses import dataclass
from typing import Literal

PartName = Literal["packages", "collectives", "memory", "memory-checkpointing", "step", "local-profile"]


@dataclass(frozen=True)
class Budget:
    """`case` is one of `gift.bench.cases`."""

    limits: dict[PartName, int]
    """Seconds after which a part is ended, in the order in which they run."""
    step_case: str
    step_rounds: int
    memory_case: str
    profile_settings: tuple[str, ...]
    """`key=value` on top of the profile `local`."""


BUDGETS = {
    "full": Budget(
        limits={
            "packages": 40,
            "collectives": 30,
            "memory": 60,
            "memory-checkpointing": 50,
            "step": 150,
            "local-profile": 140,
        },
        step_case="500m-p512-n8-ragged",
        step_rounds=5,
        memory_case="500m-p512-n8-equal",
        profile_settings=("rl.heldout_every=80", "rl.heldout_problems=500"),
    ),
    "tiny": Budget(
        limits=dict.fromkeys(
            ("packages", "collectives", "memory", "memory-checkpointing", "step", "local-profile"), 300
        ),
        step_case="tiny",
        step_rounds=1,
        memory_case="tiny",
        profile_settings=(
            "model={source: scratch, hidden_size: 32, intermediate_size: 64, layers: 2, attention_heads: 4}",
            "data={source: arithmetic, sft: 64, train: 32, heldout: 16}",
            "sft.steps=3",
            "sft.batch_size=8",
            "sft.optimizer.warmup_steps=0",
            "rl.steps=2",
            "rl.prompts_per_step=4",
            "rl.optimizer.warmup_steps=0",
            "rl.heldout_every=2",
            "rl.heldout_problems=16",
        ),
    ),
}
