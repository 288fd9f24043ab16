"""GIFT's own choices, one at a time: what its defaults rest on, and why the literal form stalls."""

from gift.config import RunConfig
from pipelines.experiments.experiment import METRICS, Experiment, Variant
from pipelines.experiments.rollout_ablation import mean_floor

OWN_METRICS = ("gift/correlation", "gift/implicit_reward_std", "gift/frac_at_floor")


def gift_options(base: RunConfig) -> Experiment:
    """Every variant changes one choice of the first, which has the profile's own options with a floor of 3."""
    floors = tuple(
        Variant(f"floor-{floor:g}", f"Floor {floor:g}", (f"gift.std_floor={floor}",)) for floor in (0.3, 1.0, 10.0)
    )
    return Experiment(
        name="gift-options",
        title="GIFT's options, one at a time",
        question=(
            "Which floor, reference, reduction, statistics and treatment of groups without signal should be default?"
        ),
        variants=(
            Variant("default", "Floor 3 (default)"),
            Variant("paper-literal", "Paper, literally", ("gift=paper-literal",)),
            Variant("author", "Author's code", ("gift=author",)),
            *floors,
            Variant("attached", "Attached statistics", ("gift.statistics=attached",)),
            Variant("mean", "Mean over tokens", ("gift.reduction=mean", mean_floor(base))),
            Variant("keep", "Equal rewards kept", ("gift.zero_variance=keep",)),
            Variant("refill", "Equal rewards refilled", ("gift.zero_variance=refill",)),
        ),
        baseline="default",
        settings=("algorithm=gift", "gift.std_floor=3.0", f"rl.heldout_every={max(1, base.rl.steps // 10)}"),
        metrics=(*METRICS, *OWN_METRICS),
    )
