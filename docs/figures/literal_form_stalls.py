"""Draws docs/figures/literal_form_stalls.svg: GIFT's literal form, its floor, and its relatives on a toy.

    python docs/figures/literal_form_stalls.py        (15 seconds on one core; prints the numbers behind the figure)

The toy has 64 prompts with 32 possible responses of one token. Reference: fixed random logits, different for every
prompt. Policy: reference logits + features · w, with 48 weights w that all prompts share and that start at 0. Reward:
1 for responses that a noisy direction of the features favours, otherwise 0. Per step: 8 prompts, 8 responses each from
the policy, one AdamW update with the gradient clipped at 1. Expected reward and spread are exact sums over responses.

Left out: sequences, sampling engines and tuned learning rates. It shows what an objective wants, not what it scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gift.algorithms import GroupLosses, ScoredGroups
from gift.algorithms.gift import gift_loss
from gift.algorithms.grpo import grpo_loss
from gift.algorithms.objective import active_groups
from gift.config import GiftConfig, GrpoConfig

PROMPTS, RESPONSES, FEATURES = 64, 32, 48
BATCH, GROUP = 8, 8
STEPS, SEEDS = 200, 5
LEARNING_RATE = 0.05
FIGURE = Path(__file__).with_suffix(".svg")


@dataclass(frozen=True)
class Variant:
    """One line of the figure."""

    label: str
    colour: str
    loss: Callable[[ScoredGroups], GroupLosses]
    keeps_equal_rewards: bool = True
    learning_rate: float = LEARNING_RATE
    floor: float = 0.0
    style: str = "-"


def gift(
    label: str, colour: str, options: GiftConfig, learning_rate: float = LEARNING_RATE, style: str = "-"
) -> Variant:
    return Variant(
        label=label,
        colour=colour,
        loss=partial(gift_loss, options=options),
        keeps_equal_rewards=options.zero_variance == "keep",
        learning_rate=learning_rate,
        floor=options.std_floor,
        style=style,
    )


LITERAL = GiftConfig.model_validate("paper-literal")
VARIANTS = [
    Variant("GRPO", "#8a8a8a", partial(grpo_loss, options=GrpoConfig())),
    gift("`author`: reference = rollout policy", "#009e73", GiftConfig.model_validate("author")),
    gift("floor 3", "#0b3c6f", GiftConfig(std_floor=3.0)),
    gift("floor 1", "#2f7fc1", GiftConfig(std_floor=1.0)),
    gift("floor 0.1", "#8ec3ea", GiftConfig(std_floor=0.1)),
    gift("floor 0.1, attached statistics", "#cc79a7", GiftConfig(std_floor=0.1, statistics="attached")),
    gift("`paper-literal`", "#d55e00", LITERAL),
    gift("`paper-literal`, a quarter of the learning rate", "#d55e00", LITERAL, LEARNING_RATE / 4, ":"),
]


def train(variant: Variant, seed: int) -> Tensor:
    """(STEPS + 1, 3): expected reward, spread of s under the policy, and KL to the reference; means over prompts."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(PROMPTS, RESPONSES, FEATURES, generator=generator) / FEATURES**0.5
    reference = torch.randn(PROMPTS, RESPONSES, generator=generator).log_softmax(dim=1)
    taste = 3 * torch.randn(FEATURES, generator=generator)
    rewards = (features @ taste + torch.randn(PROMPTS, RESPONSES, generator=generator) > 0.3).float()
    weights = torch.zeros(FEATURES, requires_grad=True)
    optimizer = torch.optim.AdamW([weights], lr=variant.learning_rate, weight_decay=0.0)

    history = []
    for _ in range(STEPS + 1):
        policy = (reference + features @ weights).log_softmax(dim=1)
        probabilities = policy.detach().exp()
        implicit = policy.detach() - reference
        kl = (probabilities * implicit).sum(dim=1)
        spread = ((probabilities * implicit.square()).sum(dim=1) - kl.square()).clamp_min(0).sqrt()
        history.append(torch.stack([(probabilities * rewards).sum(dim=1), spread, kl]).mean(dim=1))

        prompts = torch.randperm(PROMPTS, generator=generator)[:BATCH]
        sampled = torch.multinomial(probabilities[prompts], GROUP, replacement=True, generator=generator)
        groups = scored(policy[prompts], reference[prompts], rewards[prompts], sampled)
        counts = torch.ones(BATCH, dtype=torch.bool) if variant.keeps_equal_rewards else active_groups(groups.rewards)
        loss = (variant.loss(groups).losses * counts).sum() / counts.sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([weights], 1.0)
        optimizer.step()
    return torch.stack(history)


def scored(policy: Tensor, reference: Tensor, rewards: Tensor, sampled: Tensor) -> ScoredGroups:
    """Tables over all responses (BATCH, RESPONSES) → the groups of those that were sampled (BATCH, GROUP)."""
    chosen = policy.gather(1, sampled)[:, :, None]
    return ScoredGroups(
        policy=chosen,
        reference=reference.gather(1, sampled)[:, :, None],
        rollout=chosen.detach(),
        mask=torch.ones_like(chosen, dtype=torch.bool),
        rewards=rewards.gather(1, sampled),
        names=tuple(str(index) for index in range(BATCH)),
    )


def draw(results: dict[str, Tensor]) -> Figure:
    """`results`: variant → (SEEDS, STEPS + 1, 3)."""
    figure = Figure(figsize=(9.5, 4.9), layout="constrained")
    reward, spread = figure.subplots(1, 2)
    for variant in VARIANTS:
        _line(reward, variant, results[variant.label][:, :, 0])
        _line(spread, variant, results[variant.label][:, :, 1])
        if variant.floor:
            spread.axhline(variant.floor, color=variant.colour, linewidth=0.8, linestyle=(0, (1, 3)))
    reward.set_title("Expected reward", loc="left", fontsize=10)
    spread.set_title("Spread of the implicit reward s, in nats (thin lines: the floors)", loc="left", fontsize=10)
    spread.set_yscale("log")
    spread.set_ylim(0.008, 4.5)
    spread.set_yticks([0.01, 0.1, 1, 3], ["0.01", "0.1", "1", "3"])
    spread.minorticks_off()
    for axes in (reward, spread):
        axes.set_xlabel("step")
        axes.set_xlim(0, STEPS)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*reward.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _line(axes: Axes, variant: Variant, runs: Tensor) -> None:
    """The mean over seeds, and the range from the lowest to the highest."""
    every = slice(1, None, 3)
    steps = torch.arange(STEPS + 1)[every].numpy()
    low, high = runs[:, every].amin(dim=0).numpy(), runs[:, every].amax(dim=0).numpy()
    axes.fill_between(steps, low, high, color=variant.colour, alpha=0.12, linewidth=0)
    mean = runs[:, every].mean(dim=0).numpy()
    axes.plot(steps, mean, color=variant.colour, linestyle=variant.style, linewidth=1.6, label=variant.label)


def print_table(results: dict[str, Tensor]) -> None:
    print(f"after {STEPS} steps, mean ± standard deviation of {SEEDS} seeds")
    print(f"{'':50}{'reward':>15}{'spread of s':>15}{'KL':>15}")
    start = next(iter(results.values()))[:, 0]  # the same for all
    for label, numbers in [("at the start", start)] + [(label, runs[:, -1]) for label, runs in results.items()]:
        cells = (f"{mean:.3f} ± {std:.3f}" for mean, std in zip(numbers.mean(dim=0), numbers.std(dim=0), strict=True))
        print(f"{label:50}" + "".join(f"{cell:>15}" for cell in cells))


def main() -> None:
    torch.set_num_threads(1)
    results = {variant.label: torch.stack([train(variant, seed) for seed in range(SEEDS)]) for variant in VARIANTS}
    print_table(results)
    with matplotlib.rc_context({"svg.hashsalt": FIGURE.stem, "svg.fonttype": "none", "font.family": "sans-serif"}):
        draw(results).savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
