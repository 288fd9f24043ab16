"""What was measured, as a file that later measurements are compared with, and as a table for people.

Left out: absolute seconds in any verdict. They are the machine's; ratios of sides that took turns are the code's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import Field

from gift.bench.cases import StepCase
from gift.bench.matrix_size import MATRIX_OPERATIONS
from gift.config import Section
from gift.config.section import NonNegativeFloat, PositiveFloat, PositiveInt
from gift.report.files import load_document, save_document

SideName = Literal["gift", "trl", "trl-stock", "matrix"]
"""This trainer; TRL with nothing but the responses through the head, as on CUDA; TRL as it is here; see `matrix`."""
GIGABYTE = 1e9


class Turn(Section):
    """One step of one side."""

    cpu_seconds: PositiveFloat
    """Of all threads."""
    wall_seconds: PositiveFloat
    peak_bytes: PositiveInt
    """The most resident memory while it was taken."""
    bytes_before: PositiveInt
    """What it had before there was a model: Python and libraries."""


class StepMeasurement(Section):
    """One case; the turns of a round followed each other. A first round, which warms up, is not among them."""

    case: StepCase
    turns: dict[SideName, tuple[Turn, ...]]
    gradient_differences: dict[SideName, NonNegativeFloat]
    """‖ours − theirs‖₂ / ‖theirs‖₂ of the first step's gradients."""
    floor_operations: PositiveInt
    """`gift.bench.floor`."""
    provenance: dict[str, str] = Field(default_factory=dict)

    def cpu_seconds(self, side: SideName) -> float:
        """Median of a step."""
        return median(turn.cpu_seconds for turn in self.turns[side])

    def tokens_per_second(self, side: SideName) -> float:
        """Prompts (once per response) and responses, without padding, by the median wall time."""
        return self.case.tokens / median(turn.wall_seconds for turn in self.turns[side])

    def peak_bytes(self, side: SideName) -> int:
        """Of the whole process while it took a step; Python and libraries are in it."""
        return max(turn.peak_bytes for turn in self.turns[side])

    def cost(self, side: SideName) -> float:
        """Our CPU seconds as a share of that side's: median over rounds."""
        return median(self.costs(side))

    def costs(self, side: SideName) -> list[float]:
        """As `cost`, round by round."""
        rounds = zip(self.turns["gift"], self.turns[side], strict=True)
        return [ours.cpu_seconds / theirs.cpu_seconds for ours, theirs in rounds]

    @property
    def matrix_rate(self) -> float:
        """Multiplications and additions per CPU second."""
        return MATRIX_OPERATIONS / self.cpu_seconds("matrix")

    @property
    def floor_seconds(self) -> float:
        """CPU seconds of what no step can do without."""
        return self.floor_operations / self.matrix_rate

    @property
    def floor_share(self) -> float:
        """Of our CPU seconds."""
        return self.floor_seconds / self.cpu_seconds("gift")


class Measurements(Section):
    """A file of results."""

    schema_version: Literal[1] = 1
    cases: dict[str, StepMeasurement] = Field(default_factory=dict)


def load_measurements(path: Path) -> Measurements:
    """Raises: GiftError: the file can't be read, or holds something else."""
    return load_document(Measurements, path)


def keep_measurement(measurement: StepMeasurement, path: Path) -> Measurements:
    """Put a case into a file, which is begun if it is not there, in place of what it had of that case; the table beside
    it (`.md`) is made anew.

    Raises:
        GiftError: the file holds something else, or can't be written.
    """
    kept = load_measurements(path).cases if path.exists() else {}
    measurements = Measurements(cases=kept | {measurement.case.name: measurement})
    save_document(measurements, path)
    path.with_suffix(".md").write_text(markdown(measurements), encoding="utf-8")
    return measurements


def markdown(measurements: Measurements) -> str:
    """The table of all cases."""
    found = list(measurements.cases.values())
    columns: list[tuple[str, Callable[[StepMeasurement], str]]] = [
        ("case", lambda one: one.case.name),
        ("gift, CPU s", lambda one: f"{one.cpu_seconds('gift'):.3g}"),
        ("TRL, CPU s", lambda one: f"{one.cpu_seconds('trl'):.3g}"),
        ("TRL ÷ gift", lambda one: _times(one.costs("trl"))),
        ("stock TRL ÷ gift", lambda one: _times(one.costs("trl-stock")) if "trl-stock" in one.turns else "–"),
        ("gift, tokens/s", lambda one: f"{one.tokens_per_second('gift'):,.0f}"),
        ("TRL, tokens/s", lambda one: f"{one.tokens_per_second('trl'):,.0f}"),
        ("gift, GB", lambda one: f"{one.peak_bytes('gift') / GIGABYTE:.2f}"),
        ("TRL, GB", lambda one: f"{one.peak_bytes('trl') / GIGABYTE:.2f}"),
        ("gift ÷ TRL, memory", lambda one: f"{one.peak_bytes('gift') / one.peak_bytes('trl'):.2f}"),
        ("floor, CPU s", lambda one: f"{one.floor_seconds:.3g}"),
        ("floor reached", lambda one: f"{one.floor_share:.0%}"),
        ("gradients differ by", lambda one: f"{max(one.gradient_differences.values()):.0e}"),
    ]
    lines = [
        f"| {' | '.join(name for name, _ in columns)} |",
        f"| --- |{' ---: |' * (len(columns) - 1)}",
        *(f"| {' | '.join(shown(one) for _, shown in columns)} |" for one in found),
    ]
    rounds = sorted({len(one.turns["gift"]) for one in found})
    return "\n".join((_explanation(rounds), "", *lines, ""))


def floor_in_words(found: StepMeasurement) -> str:
    """What a step can't do without, and how near we came."""
    operations, rate = found.floor_operations / 1e9, found.matrix_rate / 1e9
    return (
        f"{found.case.name}  floor: {operations:,.4g} G operations at {rate:,.4g} G/s are {found.floor_seconds:.3g} "
        f"CPU s, {found.floor_share:.0%} of the {found.cpu_seconds('gift'):.3g} that gift takes"
    )


def _explanation(rounds: Sequence[int]) -> str:
    return (
        f"One update step, medians of {' or '.join(map(str, rounds))} by turns (least to most). TRL is its GRPOTrainer "
        "with nothing\nbut the responses' tokens through the head, as on CUDA; stock TRL is what it does elsewhere. "
        "Memory is the peak of a\nprocess, libraries included. Written by `gift bench step`."
    )


def _times(costs: Sequence[float]) -> str:
    speeds = sorted(1 / cost for cost in costs)
    return f"{median(speeds):.2f} ({speeds[0]:.2f}–{speeds[-1]:.2f})"
