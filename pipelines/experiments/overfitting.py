"""Few training prompts, seen again and again: the paper's Figure 3, where GRPO trains higher and evaluates lower."""

from gift.config import RunConfig
from pipelines.experiments.baselines import OWN_BUDGET
from pipelines.experiments.experiment import METRICS, Experiment, Variant


def overfitting(base: RunConfig, prompts: int) -> Experiment:
    """Objectives with and without a penalty on the distance from the SFT model, where they have one."""
    return Experiment(
        name="overfitting",
        title=f"{prompts:,} training prompts, seen {_times(base, prompts):.0f} times",
        question="Who still gains on held-out problems, and who only on those that are trained on?",
        variants=(
            Variant("gift", "GIFT", ("algorithm=gift",)),
            Variant("grpo", "GRPO, KL 0.001", ("algorithm=grpo",)),
            Variant("grpo-kl", "GRPO, KL 0.04", ("algorithm=grpo", "grpo.kl_coefficient=0.04")),
            Variant("grpo-free", "GRPO, no KL", ("algorithm=grpo", "grpo.kl_coefficient=0.0")),
            Variant("dapo", "DAPO", ("algorithm=dapo", *OWN_BUDGET)),
            Variant("gspo", "GSPO", ("algorithm=gspo",)),
            Variant("gspo-kl", "GSPO, KL 0.04", ("algorithm=gspo", "gspo.kl_coefficient=0.04")),
        ),
        baseline="gift",
        settings=(f"data.train={prompts}", f"rl.heldout_every={max(1, base.rl.steps // 20)}"),
        metrics=(*METRICS, "train_accuracy"),
        options=(f"--prompts {prompts}",),
    )


def _times(base: RunConfig, prompts: int) -> float:
    return base.rl.steps * base.rl.prompts_per_step / prompts
