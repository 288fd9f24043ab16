"""What starting costs: CPU seconds that the process of each stage spends on importing modules.

    python benchmarks/stage_imports.py [--profile local]

Runs the pipeline twice with a tiny budget, beside nobody else's servers: the first time every stage does its work, the
second time most outputs are reused. Prints seconds and modules per stage, and the sums. kfp's own executor is part of
every process, and of every figure. So little training may leave the weights as they are: then the candidate is the SFT
model, and its evaluation is reused the first time, too.

Left out: the ranks of a training (torch and DeepSpeed are what they are for), and the command line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

TINY = (
    *("model.hidden_size=32", "model.intermediate_size=64", "model.layers=1", "model.attention_heads=2"),
    *("data.sft=400", "data.train=100", "data.heldout=24", "sft.steps=4", "sft.optimizer.warmup_steps=1"),
    *("rl.steps=2", "rl.prompts_per_step=2", "rollout.group_size=4"),
    *("rollout.max_new_tokens=8", "evaluation.benchmarks.0.max_new_tokens=8"),
    "evaluation.benchmarks.1.max_new_tokens=8",
)

# Python imports a `sitecustomize` before anything else. Imports nest, so only the outermost ones are timed.
HOOK = """
import _frozen_importlib, atexit, json, os, sys, time

outermost, seconds, find_and_load = True, 0.0, _frozen_importlib._find_and_load

def timed(name, import_):
    global outermost, seconds
    if not outermost:
        return find_and_load(name, import_)
    outermost, started = False, time.thread_time()
    try:
        return find_and_load(name, import_)
    finally:
        seconds += time.thread_time() - started
        outermost = True

def write():
    stage = sys.argv[sys.argv.index("--function_to_execute") + 1]
    path = os.path.join(os.environ["GIFT_IMPORTS"], f"{time.time_ns()}.json")
    with open(path, "w") as file:
        json.dump({"stage": stage, "seconds": seconds, "modules": len(sys.modules)}, file)

if "--function_to_execute" in sys.orig_argv:
    _frozen_importlib._find_and_load = timed
    atexit.register(write)
"""


@dataclass(frozen=True)
class Started:
    """One process of one stage."""

    stage: str
    seconds: float
    """CPU seconds of imports."""
    modules: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="local")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        ports = free_ports(HOST, 2)
        made, reused = (_run(folder / name, folder, arguments.profile, ports) for name in ("made", "reused"))
    print(f"{'stage':20}{'working, s':>12}{'modules':>10}{'again, s':>12}{'modules':>10}")
    for first, second in zip(made, reused, strict=True):
        print(f"{first.stage:20}{first.seconds:12.2f}{first.modules:10}{second.seconds:12.2f}{second.modules:10}")
    sums = [sum(started.seconds for started in run) for run in (made, reused)]
    print(f"{'all':20}{sums[0]:12.2f}{'':10}{sums[1]:12.2f}")


def _run(measured: Path, folder: Path, profile: str, ports: Sequence[int]) -> list[Started]:
    """The processes of one run, in the order in which they ended."""
    measured.mkdir()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    path = os.pathsep.join(filter(None, (str(folder / "hook"), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "pipelines.cli", "run", "--profile", profile, "--runs", str(folder / "runs")]
    command += ["--state-dir", str(folder / "state"), "--s3-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    command += [argument for setting in TINY for argument in ("--set", setting)]
    environment = outside | {"PYTHONPATH": path, "GIFT_IMPORTS": str(measured)}
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)  # noqa: S603 - our own arguments
    return [Started(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(measured.iterdir())]


if __name__ == "__main__":
    main()
