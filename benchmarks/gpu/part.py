"""One part of the measurement, in a process of its own: `python -m gpu.part NAME FOLDER DEVICE BUDGET`.

It leaves `NAME.json` in the folder, or one line and exit status 1.
"""

import importlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gpu.budget import BUDGETS, Budget, PartName

NEEDED = ("torch", "pydantic", "numpy", "transformers", "deepspeed", "trl.trainer.grpo_trainer", "boto3", "requests")


@dataclass(frozen=True)
class PartResult:
    """`lines` are Markdown for people, `figures` the same for programs."""

    lines: list[str]
    figures: dict[str, Any]


def measure_part(name: PartName, folder: Path, device: Literal["cpu", "cuda"], budget: Budget) -> PartResult:
    """Raises: GiftError: what is measured failed, in its own words."""
    match name:
        case "packages":
            return check_packages(device)
        case "collectives":
            from gpu.collectives import measure_collectives

            return measure_collectives(device)
        case "memory" | "memory-checkpointing":
            from gpu.memory import measure_memory

            return measure_memory(folder, device, budget.memory_case, checkpointing=name == "memory-checkpointing")
        case "step":
            from gpu.step import measure_step_beside_trl

            return measure_step_beside_trl(device, budget.step_case, budget.step_rounds)
        case "local-profile":
            from gpu.local_profile import train_local_profile

            return train_local_profile(folder, device, budget.profile_settings)


def check_packages(device: Literal["cpu", "cuda"]) -> PartResult:
    """That all is there which the other parts import, and the device. Ends with one line if not."""
    versions: dict[str, Any] = {"python": sys.version.split()[0]}
    for name in NEEDED:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError) as error:  # a library for another Python, or one that is missing
            sys.exit(f"{name} can't be imported, so nothing is measured: {error}")
        versions[name] = getattr(sys.modules[name.partition(".")[0]], "__version__", "")
        del module
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"torch {torch.__version__} finds no GPU (a driver is missing, or it is a CPU build): nothing is measured"
        )
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        versions |= {"gpu": properties.name, "gpu_bytes": properties.total_memory, "cuda": torch.version.cuda}
    versions["cpus"] = os.cpu_count()
    return PartResult([", ".join(f"{name} {version}" for name, version in versions.items())], versions)


def main() -> None:
    name, folder, device, budget = sys.argv[1:]
    result = _in_one_line(name, Path(folder), device, BUDGETS[budget])
    Path(folder, f"{name}.json").write_text(json.dumps(asdict(result)), encoding="utf-8")


def _in_one_line(name: Any, folder: Path, device: Any, budget: Budget) -> PartResult:
    from gift.errors import GiftError, printable

    try:
        return measure_part(name, folder, device, budget)
    except GiftError as error:
        sys.exit(printable(str(error)))


if __name__ == "__main__":
    main()
