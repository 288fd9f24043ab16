"""Settings (`key=value`, as after --set) that make the profile `local` as small as every stage takes."""

TINY_MODEL = (
    "model.hidden_size=32",
    "model.intermediate_size=64",
    "model.layers=1",
    "model.attention_heads=2",
)
TINY_WARM_UP = (
    *TINY_MODEL,
    "data.sft=64",
    "data.train=32",
    "data.heldout=8",
    "compute.ranks=1",
    "sft.steps=4",
    "sft.batch_size=8",
    "sft.checkpoint_every=2",
)
