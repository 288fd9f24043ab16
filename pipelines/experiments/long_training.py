"""Training four times as long as the profile: who collapses, who drifts from the SFT model, who needs to be stopped."""

from gift.config import RunConfig
from pipelines.experiments.baselines import OWN_BUDGET
from pipelines.experiments.experiment import METRICS, Experiment, Variant

TIMES = 4


def long_training(base: RunConfig) -> Experiment:
    """Objectives with and without an anchor to the SFT model, on policy; tuned, the grid shows how wide their basins
    are."""
    steps = f"rl.steps={TIMES * base.rl.steps}"  # a variant's own, as the user's rl.steps is what is multiplied
    return Experiment(
        name="long-training",
        title=f"{TIMES * base.rl.steps:,} steps instead of {base.rl.steps:,}",
        question="Who still gains when training goes on, who drifts from the SFT model, and who collapses?",
        variants=(
            Variant("gift", "GIFT", ("algorithm=gift", steps)),
            Variant("gift-author", "GIFT, author's form", ("algorithm=gift", "gift=author", steps)),
            Variant("gvpo", "GVPO", ("algorithm=gvpo", steps)),
            Variant("grpo", "GRPO, KL 0.001", ("algorithm=grpo", steps)),
            Variant("grpo-kl", "GRPO, KL 0.04", ("algorithm=grpo", "grpo.kl_coefficient=0.04", steps)),
            Variant("dapo", "DAPO", ("algorithm=dapo", *OWN_BUDGET, steps)),
            Variant("gspo", "GSPO", ("algorithm=gspo", steps)),
        ),
        baseline="gift",
        settings=(f"rl.heldout_every={max(1, TIMES * base.rl.steps // 20)}",),
        metrics=METRICS,
    )
