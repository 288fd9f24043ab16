"""Results of `gift bench step` with made-up seconds."""

from gift.bench.cases import CASES
from gift.bench.results import Measurements, StepMeasurement, Turn


def turns(*seconds: float, peak: int = 10**9) -> tuple[Turn, ...]:
    return tuple(Turn(cpu_seconds=each, wall_seconds=2 * each, peak_bytes=peak, bytes_before=10**8) for each in seconds)


def measurement(name: str, gift: tuple[Turn, ...], trl: tuple[Turn, ...]) -> StepMeasurement:
    return StepMeasurement(
        case=CASES[name],
        turns={"gift": gift, "trl": trl, "matrix": turns(*[0.1] * len(gift))},
        gradient_differences={"trl": 2e-6},
        floor_operations=10**10,
    )


def measurements(**ratios: float) -> Measurements:
    """Case → our seconds as a share of TRL's; a name's `_` stands for `-`."""
    found = {name.replace("_", "-"): ratio for name, ratio in ratios.items()}
    return Measurements(
        cases={name: measurement(name, turns(ratio, ratio), turns(1.0, 1.0)) for name, ratio in found.items()}
    )
