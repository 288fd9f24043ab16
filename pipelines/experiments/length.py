"""Length: log-ratios summed or averaged over a response's tokens (the paper's Figure 2b), beside GRPO and Dr. GRPO.

They differ only where the responses to one prompt differ in length: run it on a profile where they do. In that of
varied-length a demonstration's length says nothing about whether it is right, so that who answers longer than the SFT
model has learned it from the objective; the page's part on length tells.
"""

from gift.config import RunConfig
from pipelines.experiments.experiment import METRICS, Experiment, Variant
from pipelines.experiments.gift_options import OWN_METRICS
from pipelines.experiments.rollout_ablation import mean_floor


def length(base: RunConfig) -> Experiment:
    """GIFT's sum, and means with the floor that suits responses of half the longest length, and with twice that."""
    middle = float(mean_floor(base).partition("=")[2])
    means = tuple(
        Variant(
            f"mean-{name}",
            f"GIFT, mean, floor {floor:.2g}",
            ("algorithm=gift", "gift.reduction=mean", f"gift.std_floor={floor:.2g}"),
        )
        for name, floor in (("floor", middle), ("double-floor", middle * 2))
    )
    return Experiment(
        name="length",
        title="Responses of widely varied length",
        question=(
            "Where the responses to a prompt differ in length, is a sum over tokens better than a mean, and does GIFT "
            "answer longer than GRPO?"
        ),
        variants=(
            Variant("sum", f"GIFT, sum, floor {base.gift.std_floor:g}", ("algorithm=gift", "gift.reduction=sum")),
            *means,
            Variant("grpo", "GRPO", ("algorithm=grpo",)),
            Variant("dr-grpo", "Dr. GRPO", ("algorithm=dr_grpo",)),
        ),
        baseline="sum",
        settings=("gift.reference=sft", f"rl.heldout_every={max(1, base.rl.steps // 10)}"),
        metrics=(*METRICS, "completions/group_std_length", *OWN_METRICS),
    )
