"""Responses of a policy of some steps ago (`rollout.lag`): who learns from them, and who breaks.

A batch of step s was sampled before step s − lag, so that a lag as long as the training means that all of it is learned
from the SFT model's responses. No variant leaves checkpoints to go on from, which a lag has none of.
"""

from gift.config import RunConfig
from pipelines.experiments.experiment import METRICS, Experiment, Variant

LAGS = (0, 4, 16, 64)
OBJECTIVES = (
    ("gift", "GIFT", ("algorithm=gift",)),
    ("gift-author", "GIFT, author's form", ("algorithm=gift", "gift=author")),
    ("gvpo", "GVPO", ("algorithm=gvpo",)),
    ("oapl", "OAPL", ("algorithm=oapl",)),
    ("grpo", "GRPO", ("algorithm=grpo",)),
    ("gspo", "GSPO", ("algorithm=gspo",)),
)
TRUNCATED = ("algorithm=grpo", "grpo.importance_cap=2.0")
"""Truncated importance sampling; on policy with transformers there is nothing to correct, and GRPO stands for it."""


def staleness(base: RunConfig) -> Experiment:
    """Every objective at every lag, from the same SFT models with the same number of responses."""
    variants = [
        Variant(f"{name}-lag-{lag}", f"{label}, lag {lag}", (*settings, f"rollout.lag={lag}"))
        for name, label, settings in OBJECTIVES
        for lag in LAGS
    ]
    variants += [
        Variant(f"grpo-truncated-lag-{lag}", f"GRPO, truncated weights, lag {lag}", (*TRUNCATED, f"rollout.lag={lag}"))
        for lag in LAGS
        if lag
    ]
    return Experiment(
        name="staleness",
        title="Learning from an older policy's responses",
        question="How much does each objective lose when its responses are of the policy of 4, 16 or 64 steps ago?",
        variants=tuple(variants),
        baseline="gift-lag-0",
        settings=("rl.checkpoint_every=0", f"rl.heldout_every={max(1, base.rl.steps // 10)}"),
        metrics=(*METRICS, "sampling/kl"),
    )
