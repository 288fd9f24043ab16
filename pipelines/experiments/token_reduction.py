"""Log-ratios summed or averaged over the tokens of a response (the paper's Figure 2b).

The two differ only where the responses to one prompt differ in length: run it on a profile where they do.
"""

from gift.config import RunConfig
from pipelines.experiments.experiment import METRICS, Experiment, Variant
from pipelines.experiments.gift_options import OWN_METRICS
from pipelines.experiments.rollout_ablation import mean_floor


def token_reduction(base: RunConfig) -> Experiment:
    """The sum, and means with the floor that suits responses of half the longest length, and with twice that."""
    middle = float(mean_floor(base).partition("=")[2])
    means = tuple(
        Variant(f"mean-{name}", f"Mean, floor {floor:.2g}", ("gift.reduction=mean", f"gift.std_floor={floor:.2g}"))
        for name, floor in (("floor", middle), ("double-floor", middle * 2))
    )
    return Experiment(
        name="token-reduction",
        title="Sum or mean over tokens, with responses of varied length",
        question="Where the responses to a prompt differ in length, is a sum over tokens better than a mean?",
        variants=(Variant("sum", f"Sum, floor {base.gift.std_floor:g}", ("gift.reduction=sum",)), *means),
        baseline="sum",
        settings=("algorithm=gift", "gift.reference=sft", f"rl.heldout_every={max(1, base.rl.steps // 10)}"),
        metrics=(*METRICS, "completions/group_std_length", *OWN_METRICS),
    )
