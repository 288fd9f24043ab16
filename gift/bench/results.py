"""What was measured, as a file that later measurements are compared with, and as a table for people.

Left out: absolute seconds in any verdict. They are the machine's; ratios of sides that took turns are the code's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import Field

from gift.bench.cases import StepCase
from gift.bench.floor import matrix_operations
from gift.config import Section
from gift.config.section import Count, NonNegativeFloat, PositiveFloat, PositiveInt
from gift.report.files import load_document, save_document

SideName = Literal["gift", "trl", "trl-stock", "matrix"]
"""This trainer; TRL with nothing but the responses through the head, as on CUDA; TRL as it is here; see `matrix`."""
GIGABYTE = 1e9
_ON_A_GPU = "On a GPU (cuda) seconds are the clock's, and memory is that of torch's tensors on it."


class Turn(Section):
    """One step of one side."""

    cpu_seconds: PositiveFloat
    """Of all threads."""
    wall_seconds: PositiveFloat
    peak_bytes: PositiveInt
    """The most memory while it was taken: resident on a CPU, torch's tensors on a GPU."""
    bytes_before: Count
    """What it had before there was a model: Python and libraries, or nothing on a GPU."""


def seconds_of(case: StepCase, turn: Turn) -> float:
    """What a step costs: CPU time, or the clock's where a GPU computes."""
    return turn.cpu_seconds if case.device == "cpu" else turn.wall_seconds


def unit_of(case: StepCase) -> str:
    return "CPU s" if case.device == "cpu" else "s"


class StepMeasurement(Section):
    """One case; the turns of a round followed each other. A first round, which warms up, is not among them."""

    case: StepCase
    turns: dict[SideName, tuple[Turn, ...]]
    gradient_differences: dict[SideName, NonNegativeFloat]
    """‖ours − theirs‖₂ / ‖theirs‖₂ of the first step's gradients."""
    floor_operations: PositiveInt
    """`gift.bench.floor`."""
    provenance: dict[str, str] = Field(default_factory=dict)

    def seconds(self, side: SideName) -> float:
        """Median of a step, as `seconds_of`."""
        return median(seconds_of(self.case, turn) for turn in self.turns[side])

    def tokens_per_second(self, side: SideName) -> float:
        """Prompts (once per response) and responses, without padding, by the median wall time."""
        return self.case.tokens / median(turn.wall_seconds for turn in self.turns[side])

    def peak_bytes(self, side: SideName) -> int:
        """Of the whole process while it took a step; Python and libraries are in it."""
        return max(turn.peak_bytes for turn in self.turns[side])

    def cost(self, side: SideName) -> float:
        """Our seconds as a share of that side's: median over rounds."""
        return median(self.costs(side))

    def costs(self, side: SideName) -> list[float]:
        """As `cost`, round by round."""
        rounds = zip(self.turns["gift"], self.turns[side], strict=True)
        return [seconds_of(self.case, ours) / seconds_of(self.case, theirs) for ours, theirs in rounds]

    @property
    def matrix_rate(self) -> float:
        """Multiplications and additions per second."""
        return matrix_operations(self.case) / self.seconds("matrix")

    @property
    def floor_seconds(self) -> float:
        """Seconds of what no step can do without."""
        return self.floor_operations / self.matrix_rate

    @property
    def floor_share(self) -> float:
        """Of our seconds."""
        return self.floor_seconds / self.seconds("gift")


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
    unit = " or ".join(sorted({unit_of(one.case) for one in found}))
    columns: list[tuple[str, Callable[[StepMeasurement], str]]] = [
        ("case", lambda one: one.case.name),
        (f"gift, {unit}", lambda one: f"{one.seconds('gift'):.3g}"),
        (f"TRL, {unit}", lambda one: f"{one.seconds('trl'):.3g}"),
        ("TRL ÷ gift", lambda one: _times(one.costs("trl"))),
        ("stock TRL ÷ gift", lambda one: _times(one.costs("trl-stock")) if "trl-stock" in one.turns else "–"),
        ("gift, tokens/s", lambda one: f"{one.tokens_per_second('gift'):,.0f}"),
        ("TRL, tokens/s", lambda one: f"{one.tokens_per_second('trl'):,.0f}"),
        ("gift, GB", lambda one: f"{one.peak_bytes('gift') / GIGABYTE:.2f}"),
        ("TRL, GB", lambda one: f"{one.peak_bytes('trl') / GIGABYTE:.2f}"),
        ("gift ÷ TRL, memory", lambda one: f"{one.peak_bytes('gift') / one.peak_bytes('trl'):.2f}"),
        (f"floor, {unit}", lambda one: f"{one.floor_seconds:.3g}"),
        ("floor reached", lambda one: f"{one.floor_share:.0%}"),
        ("gradients differ by", lambda one: f"{max(one.gradient_differences.values()):.0e}"),
    ]
    lines = [
        f"| {' | '.join(name for name, _ in columns)} |",
        f"| --- |{' ---: |' * (len(columns) - 1)}",
        *(f"| {' | '.join(shown(one) for _, shown in columns)} |" for one in found),
    ]
    rounds = sorted({len(one.turns["gift"]) for one in found})
    gpu = [_ON_A_GPU] if any(one.case.device != "cpu" for one in found) else []
    return "\n".join((_explanation(rounds), *gpu, "", *lines, ""))


def floor_in_words(found: StepMeasurement) -> str:
    """What a step can't do without, and how near we came."""
    operations, rate = found.floor_operations / 1e9, found.matrix_rate / 1e9
    return (
        f"{found.case.name}  floor: {operations:,.4g} G operations at {rate:,.4g} G/s are {found.floor_seconds:.3g} "
        f"{unit_of(found.case)}, {found.floor_share:.0%} of the {found.seconds('gift'):.3g} that gift takes"
    )


def _explanation(rounds: Sequence[int]) -> str:
    return (
        f"One update step, medians of {' or '.join(map(str, rounds))} by turns (least to most). TRL is its GRPOTrainer "
        "with nothing\nbut the responses' tokens through the head, as on CUDA; stock TRL is what it does elsewhere. "
        "A whole step samples as\nmany responses with transformers before. Memory is the peak of a process, libraries "
        "included. Written by `gift bench step`."
    )


def _times(costs: Sequence[float]) -> str:
    speeds = sorted(1 / cost for cost in costs)
    return f"{median(speeds):.2f} ({speeds[0]:.2f}–{speeds[-1]:.2f})"
