"""Is this training sick? From the numbers of updates and steps to: healthy, an update to leave out, a training to stop.

All ranks see the same numbers and come to the same judgement, without a word between them. What of the past counts is
a `HealthState`, which travels with the checkpoint, so that a training that was resumed judges as one that was not.

Left out: what a number can't show (a policy that found a hole in its reward), and the batch that made it sick
(`gift.training.reports` keeps it). May import `config` and `errors`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import Field

from gift.config import RunConfig, Section
from gift.config.section import Count, NonNegativeFloat, PositiveInt
from gift.errors import GiftError

HISTORY = 50
"""Updates whose gradient norms are remembered, and steps whose metrics are."""
ENOUGH = 10
"""From so many on they say what is usual."""
RECENT = 5
"""Steps whose mean is compared with the median of those before: one step is noise."""
RUNAWAY_FROM = {"kl": 1.0, "entropy": 1.0, "completions/mean_length": 0.0}
"""Where a metric that has grown counts, in its own unit. A KL starts at 0, and so grows by any factor in health."""
COLLAPSING = ("entropy", "completions/mean_length")
"""Metrics that may also fall out of all proportion."""

WEIGHT_GROWTH = 1000.0
"""How many times the largest weight that training began with (or 1) none may exceed."""
CALMER = "lower the learning rate, or look at the batches that it kept"
EASIER = "ask easier problems, sample larger groups or train longer with SFT"


@dataclass(frozen=True)
class Sign:
    """Something that is sick if it lasts."""

    name: str
    what: str
    """A clause that follows "for 20 steps"."""
    advice: str
    stops: bool = True
    """Else it is a warning."""


class HealthState(Section):
    """What of the past a judgement needs."""

    gradient_norms: tuple[NonNegativeFloat, ...] = ()
    """Of the last updates that were taken."""
    left_out: Count = 0
    """Updates in a row."""
    first_reward: float | None = None
    """Mean of the first step."""
    first_weight: NonNegativeFloat | None = None
    """The largest absolute one when training began."""
    lasting: dict[str, PositiveInt] = Field(default_factory=dict)
    """Sign → steps in a row that show it."""
    recent: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Metric → its last steps."""
    usual: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Metric → the steps before those, without any from when it had run away."""


@dataclass(frozen=True)
class Judgement:
    """What one step says of the training's health; None and nothing more if nothing is wrong."""

    left_out: str | None
    """Why an update was left out."""
    stop: str | None
    """Why training must not go on."""
    warning: str | None = None
    """What a person should look at, told once while it lasts."""


class Health:
    """The health of one training."""

    def __init__(self, config: RunConfig, state: HealthState) -> None:
        self._config = config.health
        self._responses = config.rl.prompts_per_step * config.rollout.group_size
        # Of another policy's responses, entropy and KL are none, and the length says nothing.
        self._samples_now = config.group_source == "on-policy"
        self._left_out: str | None = None
        self.state = state

    def refuses(self, norm: float) -> bool:
        """Whether an update whose gradient has this 2-norm must not be taken."""
        return self._what_is_wrong(norm) is not None

    def note_update(self, norm: float) -> bool:
        """To be told of every update, with the 2-norm of its gradient; whether it was taken."""
        state, fault = self.state, self._what_is_wrong(norm)
        if fault is None:
            norms = (*state.gradient_norms, norm)[-HISTORY:]
            self._remember(gradient_norms=norms, left_out=0)
        else:
            self._left_out = fault
            self._remember(left_out=state.left_out + 1)
        return fault is None

    def judge(self, largest_weight: float, metrics: Mapping[str, float] | None = None) -> Judgement:
        """To be asked before the first step, and after every one.

        Args:
            largest_weight: by its absolute value.
            metrics: of a step of reinforcement learning (`gift.training.diagnostics`).
        """
        left_out, self._left_out = self._left_out, None
        lasting, warning = self._lasting(metrics) if metrics is not None else (None, None)
        stop = self._too_many_updates(left_out) or self._grown_weight(largest_weight) or lasting
        return Judgement(left_out, stop, warning)

    def check_end(self) -> None:
        """Raises: GiftError: the last updates were left out, so that the weights may be beyond repair."""
        if self.state.left_out > 1:
            raise GiftError(_sick(f"its last {self.state.left_out} updates had to be left out", CALMER))

    def _remember(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)

    def _too_many_updates(self, left_out: str | None) -> str | None:
        count, config = self.state.left_out, self._config
        if left_out and (count >= config.sick_updates or config.sick_update == "stop"):
            updates = "an update had" if count < 2 else f"{count} updates in a row had"
            return _sick(f"{updates} to be left out, as {left_out}", CALMER)
        return None

    def _grown_weight(self, largest: float) -> str | None:
        """No update that is worth its name lets a weight grow out of all proportion."""
        first = self.state.first_weight
        if not math.isfinite(largest) or (first is not None and largest > WEIGHT_GROWTH * max(first, 1.0)):
            return _sick(f"a weight has grown to {largest:.3g}", CALMER)
        if first is None:
            self._remember(first_weight=largest)
        return None

    def _lasting(self, metrics: Mapping[str, float]) -> tuple[str | None, str | None]:
        """What has gone on for `patience` steps: what training does not come back from, and what is a warning."""
        first = metrics["reward"] if self.state.first_reward is None else self.state.first_reward
        signs = {sign.name: sign for sign in (*self._signs(metrics, first), *self._runaways(metrics))}
        lasting = {name: self.state.lasting.get(name, 0) + 1 for name in signs}
        self._remember(lasting=lasting, first_reward=first)
        stop = warning = None
        for name, steps in lasting.items():
            sign = signs[name]
            if sign.stops and steps >= self._config.patience:
                stop = stop or _sick(f"for {steps} steps {sign.what}", f"{sign.advice}, or raise health.patience")
            elif not sign.stops and steps == self._config.patience:
                warning = warning or f"for {steps} steps {sign.what}; {sign.advice}"
        return stop, warning

    def _runaways(self, metrics: Mapping[str, float]) -> list[Sign]:
        """KL, entropy and length out of all proportion to their own history; what they were then is not usual."""
        factor = self._config.runaway_factor
        if factor is None or not self._samples_now:
            return []
        signs = []
        for name, floor in RUNAWAY_FROM.items():
            if not math.isfinite(value := metrics.get(name, math.nan)):
                continue
            recent, usual = (*self.state.recent.get(name, ()), value), self.state.usual.get(name, ())
            recent, passed = recent[-RECENT:], recent[:-RECENT]
            if sign := self._runaway(name, floor, sum(recent) / len(recent), usual, factor):
                signs.append(sign)
            else:
                usual = (*usual, *passed)[-HISTORY:]
            self._remember(recent=self.state.recent | {name: recent}, usual=self.state.usual | {name: usual})
        return signs

    def _runaway(self, name: str, floor: float, mean: float, usual: tuple[float, ...], factor: float) -> Sign | None:
        if len(usual) < ENOUGH:
            return None
        middle = median(usual)
        grown = mean > max(factor * middle, floor)
        collapsed = name in COLLAPSING and mean < middle / factor
        if not grown and not collapsed:
            return None
        what = (
            f"{name} was far from its history, at last {mean:.3g} where {middle:.3g} was usual (health.runaway_factor)"
        )
        return Sign(f"runaway {name}", what, "lower the learning rate", stops=self._config.runaway == "stop")

    def _what_is_wrong(self, norm: float) -> str | None:
        if not math.isfinite(norm) or norm < 0:  # DeepSpeed also says −1
            return "the gradient is not finite"
        factor, norms = self._config.gradient_norm_factor, self.state.gradient_norms
        if factor is not None and len(norms) >= ENOUGH and norm > factor * (usual := median(norms)):
            return f"the norm of the gradient is {norm:.3g}, where {usual:.3g} is usual (health.gradient_norm_factor)"
        return None

    def _signs(self, metrics: Mapping[str, float], first_reward: float) -> Iterator[Sign]:
        """What this step shows that is sick if it lasts."""
        # A policy that has learned all there is to learn shows the same, at a higher reward.
        if metrics["frac_reward_zero_std"] == 1 and not metrics["reward"] > first_reward:
            yield Sign("equal rewards", "all rewards in each group were equal, and nothing was learned", EASIER)
        for name, errors in metrics.items():
            if name.endswith("/errors") and errors >= self._responses:
                yield Sign(name, f"the reward {name.split('/')[1]} could judge no response", "mend the reward")
        limits = (
            ("kl", None, self._config.max_kl, "max_kl"),
            ("entropy", self._config.min_entropy, None, "min_entropy"),
            ("entropy", None, self._config.max_entropy, "max_entropy"),
            ("completions/mean_length", None, self._config.max_mean_length, "max_mean_length"),
        )
        for name, least, most, option in limits:
            value = metrics.get(name, 0.0 if least is None else least)
            if not (-math.inf if least is None else least) <= value <= (math.inf if most is None else most):
                yield Sign(option, f"{name} was beyond health.{option}, at last {value:.3g}", "lower the learning rate")


def _sick(what: str, advice: str) -> str:
    return f"training is sick: {what}; {advice}"
