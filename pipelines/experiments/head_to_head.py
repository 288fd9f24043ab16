"""The objectives side by side: the paper's Figure 3 and its main claim, GIFT against GRPO."""

from gift.config import RunConfig
from pipelines.experiments.experiment import Experiment, Variant


def head_to_head(base: RunConfig) -> Experiment:
    """Every objective with its own defaults, the same SFT models, prompts, rewards and number of responses."""
    return Experiment(
        name="head-to-head",
        title="GIFT, GRPO, GVPO, DPO and UNA head to head",
        question=(
            "Which objective makes most of the same number of sampled and scored responses, when the learning rate of "
            "each is chosen from the same grid?"
        ),
        variants=(
            Variant("gift", "GIFT", ("algorithm=gift",)),
            Variant("grpo", "GRPO", ("algorithm=grpo",)),
            Variant("gvpo", "GVPO", ("algorithm=gvpo",)),
            Variant("dpo", "DPO (offline)", ("algorithm=dpo", "rl.groups=sft-policy")),
            Variant("una", "UNA (online)", ("algorithm=una", "rl.groups=on-policy")),
        ),
        baseline="gift",
        settings=(f"rl.heldout_every={max(1, base.rl.steps // 10)}",),
    )
