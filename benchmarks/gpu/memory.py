"""The memory of two updates in bf16 beside what `gift.preflight.memory` says before: a model with random weights.

On a GPU what torch allocated and reserved is compared with the estimate without its part `runtime` (context, NCCL); on
a CPU the resident memory of the process with all of it. The estimate is the worst case of the batch that is trained on.
"""

from pathlib import Path
from typing import Literal

import torch

from gift.bench.cases import CASES
from gift.bench.inputs import read_step_batch
from gift.bench.meter import finish_work, forget_peak, memory_now, memory_peak
from gift.bench.ours import our_config, our_update
from gift.bench.sides import write_inputs_apart
from gift.preflight.memory import GIB, estimate_memory
from gpu.part import PartResult

UPDATES = 2
"""The first makes the optimizer's moments."""


def measure_memory(folder: Path, device: Literal["cpu", "cuda"], case_name: str, *, checkpointing: bool) -> PartResult:
    """Raises: GiftError: the update failed."""
    case = CASES[case_name].measured_on(device, "bf16")
    inputs = folder / "memory-inputs"
    if not inputs.exists():
        write_inputs_apart(case, inputs, folder)
    config = our_config(case, (f"compute.activation_checkpointing={str(checkpointing).lower()}",))
    ours = our_update(inputs, read_step_batch(inputs, torch.device(device)), config)
    ours.gradient()  # is not asked for here, and would be kept
    forget_peak(device)
    resting = memory_now(device)
    for _ in range(UPDATES):
        ours.step()
    finish_work(device)
    peak = memory_peak(device)
    estimate = dict(estimate_memory(config, case.model, ()).phases["update"])
    runtime = estimate.pop("runtime") if device == "cuda" else 0.0
    figures = {
        "case": case.name,
        "activation_checkpointing": checkpointing,
        "estimate_bytes": estimate,
        "runtime_bytes": runtime,
        "resting_bytes": resting,
        "peak_bytes": peak,
        "reserved_bytes": torch.cuda.max_memory_reserved() if device == "cuda" else peak,
        "peak_of_estimate": peak / sum(estimate.values()),
    }
    return PartResult(_table(figures, estimate), figures)


def _table(figures: dict[str, object], estimate: dict[str, float]) -> list[str]:
    def gib(size: object) -> str:
        return f"{float(str(size)) / GIB:.2f}"

    rows = {f"estimate: {part}": gib(size) for part, size in estimate.items()}
    rows |= {"estimate": gib(sum(estimate.values())), "used, at most": gib(figures["peak_bytes"])}
    rows |= {
        "reserved, at most": gib(figures["reserved_bytes"]),
        "used before the update": gib(figures["resting_bytes"]),
    }
    return [
        f"{figures['case']}, activation checkpointing {'on' if figures['activation_checkpointing'] else 'off'}: "
        f"used ÷ estimate = {float(str(figures['peak_of_estimate'])):.2f}",
        "",
        "| | GiB |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows.items()),
    ]
