"""Runs the parts one after the other, each in a process of its own and for a limited time, and writes what they found.

Needs nothing but Python until the packages are unpacked. A part that fails is named, with its last words, and the rest
still runs; the results are written after each, so that whoever ends this has those before.

Left out: repeating a part. Its limit is its share of the eight minutes.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu.budget import BUDGETS, PartName

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PartOutcome:
    """Of one part."""

    seconds: float
    failure: str | None
    """Its last words, or that it took too long."""
    lines: list[str] = field(default_factory=list)
    """Markdown."""
    figures: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Exit status 1 if any part failed, 2 if nothing could be started."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--packed", type=Path, required=True, metavar="FILE", help="what --pack wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets gpu.json and gpu.md")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="full")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gift-gpu-") as scratch:
        site = Path(scratch, "site-packages")  # dill takes modules of other folders for the user's, and copies them
        try:
            with tarfile.open(arguments.packed) as archive:
                archive.extractall(site, filter="data")
        except (OSError, tarfile.TarError) as error:
            print(f"{arguments.packed} can't be unpacked: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)
        outcomes = run_parts(arguments.budget, arguments.device, site, Path(scratch), arguments.out)
    failed = [name for name, outcome in outcomes.items() if outcome.failure]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} parts ran; see {arguments.out / 'gpu.md'}")
    sys.exit(1 if failed else 0)


def run_parts(budget: str, device: str, site: Path, scratch: Path, out: Path) -> dict[PartName, PartOutcome]:
    """All parts of the budget; if the packages can't be used, no other is tried."""
    outcomes: dict[PartName, PartOutcome] = {}
    for name, seconds in BUDGETS[budget].limits.items():
        outcomes[name] = outcome = _run_part(name, budget, device, seconds, site, scratch)
        print(f"{name:22}{outcome.seconds:7.1f} s  {outcome.failure or 'ok'}", flush=True)
        _write(out, budget, device, outcomes)
        if name == "packages" and outcome.failure:
            break
    return outcomes


def _run_part(name: PartName, budget: str, device: str, seconds: int, site: Path, scratch: Path) -> PartOutcome:
    log, result = scratch / f"{name}.log", scratch / f"{name}.json"
    environment = os.environ | {"PYTHONPATH": f"{site}:{ROOT}:{ROOT / 'benchmarks'}", "PYTHONUNBUFFERED": "1"}
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
            [sys.executable, "-m", "gpu.part", name, str(scratch), device, budget],
            stdout=file,
            stderr=file,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:  # also when a person ends this; what it has started ends with it
            _end_group(process)
    took = time.monotonic() - started
    if late:
        return PartOutcome(took, f"took longer than its {seconds} s; its last words: {_last_words(log)}")
    if process.returncode != 0:
        return PartOutcome(took, _last_words(log))
    return PartOutcome(took, None, **json.loads(result.read_text(encoding="utf-8")))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Sides, ranks and their parent are in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def _write(out: Path, budget: str, device: str, outcomes: dict[PartName, PartOutcome]) -> None:
    parts = {name: asdict(outcome) for name, outcome in outcomes.items()}
    document = {"schema_version": 1, "budget": budget, "device": device, "parts": parts}
    (out / "gpu.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [f"Written by `benchmarks/gpu.sh` with the budget {budget} on {device}."]
    for name, outcome in outcomes.items():
        lines += ["", f"## {name} ({outcome.seconds:.0f} s)", ""]
        lines += [f"**Failed:** {outcome.failure}"] if outcome.failure else outcome.lines
    (out / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
