"""GIFT beside the baselines that the field expects, on policy: the newer relatives of GRPO, and OAPL."""

from gift.config import RunConfig
from pipelines.experiments.experiment import METRICS, Experiment, Variant

OWN_BUDGET = ("dapo.zero_variance=keep",)
"""DAPO's dynamic sampling takes more responses than the others get."""


def baselines(base: RunConfig) -> Experiment:
    """Every objective with its own defaults, the same SFT models, prompts, rewards and number of responses."""
    return Experiment(
        name="baselines",
        title="GIFT beside GRPO, DAPO, Dr. GRPO, GSPO, CISPO and OAPL",
        question="How far is GIFT from the objectives in use, each at its best learning rate of the same grid?",
        variants=(
            Variant("gift", "GIFT", ("algorithm=gift",)),
            Variant("grpo", "GRPO", ("algorithm=grpo",)),
            Variant("dapo", "DAPO", ("algorithm=dapo", *OWN_BUDGET)),
            Variant("dr-grpo", "Dr. GRPO", ("algorithm=dr_grpo",)),
            Variant("gspo", "GSPO", ("algorithm=gspo",)),
            Variant("cispo", "CISPO", ("algorithm=cispo",)),
            Variant("oapl", "OAPL", ("algorithm=oapl",)),
        ),
        baseline="gift",
        settings=(f"rl.heldout_every={max(1, base.rl.steps // 10)}",),
        metrics=METRICS,
    )
