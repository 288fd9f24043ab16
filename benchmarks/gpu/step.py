"""An update step beside TRL's on the device, in bf16 on a GPU: `gift bench step`, without its command line."""

from typing import Literal

from gift.bench.cases import CASES
from gift.bench.measure import measure_step
from gift.bench.results import Measurements, floor_in_words, markdown
from gpu.part import PartResult


def measure_step_beside_trl(device: Literal["cpu", "cuda"], case_name: str, rounds: int) -> PartResult:
    """Raises: GiftError: a side failed, or the gradients differ."""
    case = CASES[case_name].measured_on(device, "bf16" if device == "cuda" else "fp32")
    found = measure_step(case, rounds, stock=False, tell=print)
    lines = markdown(Measurements(cases={case.name: found})).splitlines()
    return PartResult([*lines, "", floor_in_words(found)], found.model_dump(mode="json"))
