"""Which build of torch an environment gets, decided here alone: for this machine's (Makefile) and the CPU image's.

`python -m pipelines.install.torch_build [--cpu]` prints the arguments of `uv pip install`, and on stderr why these.

On a registry, torch is the build for CUDA, whose libraries make an environment about twice as large. It is for machines
with a GPU, and for those that find no other. It and its libraries are pinned where the GPU image's are, in gpu.txt.

Left out: which build is installed already, and other accelerators than NVIDIA's.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.install.uv import uv_command, uv_environment

CHECKOUT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path("requirements")
LOOK_UP_SECONDS = 10.0
CUDA_COSTS = "4.0 GB"
"""Of disk, by torch 2.13 for CUDA and its libraries against the CPU build: measured, unpacked and with bytecode."""


@dataclass(frozen=True)
class TorchBuild:
    """`arguments` of `uv pip install`, and the `reason` in one line."""

    arguments: list[str]
    reason: str


def torch_build(gpu: bool) -> TorchBuild:
    """The build for a machine with or without a GPU. Looks in two places at most, and never fails."""
    # The CPU build has no hash that we could know, and needs nothing that cpu.txt does not pin.
    cpu = ["--no-deps", f"{torch_pin()}+cpu"]
    cuda = ["--require-hashes", "--requirement", f"{REQUIREMENTS}/torch.txt", "--constraint", f"{REQUIREMENTS}/gpu.txt"]
    if gpu:
        return TorchBuild(cuda, "the registry's build for CUDA, as this machine has a GPU")
    if _found(cpu):
        return TorchBuild(cpu, "the CPU build, from where pip is told to look")
    from_pytorch = ["--torch-backend", "cpu", *cpu]
    if _found(from_pytorch):
        return TorchBuild(from_pytorch, "the CPU build, from PyTorch's index")
    why = "the CPU build is nowhere that pip is told to look, and PyTorch's index of CPU builds does not answer"
    return TorchBuild(cuda, f"the registry's build for CUDA, which with its libraries takes {CUDA_COSTS} more: {why}")


def torch_pin() -> str:
    """`torch==…`, the version of every build."""
    return (CHECKOUT / REQUIREMENTS / "torch.txt").read_text(encoding="utf-8").splitlines()[-1]


def has_gpu() -> bool:
    """Whether NVIDIA's driver lists a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    listed = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False)  # noqa: S603
    return listed.returncode == 0 and "GPU " in listed.stdout


def main() -> None:
    """Print what `uv pip install` is to be given, in a folder that has `requirements/`."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("--cpu", action="store_true", help="for machines without a GPU, whatever this one has")
    build = torch_build(gpu=not options.parse_args().cpu and has_gpu())
    print(f"torch: {build.reason}", file=sys.stderr)
    print(*build.arguments)


def _found(arguments: list[str]) -> bool:
    """Whether uv could install this; asked once and within seconds, as a firewall may swallow the question."""
    once = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5"}
    command = uv_command(["pip", "install", "--python", sys.executable, "--dry-run", "--reinstall", *arguments])
    try:
        asked = subprocess.run(  # noqa: S603 - the commands are our own, and no shell reads them
            command, env=uv_environment() | once, capture_output=True, check=False, timeout=LOOK_UP_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


if __name__ == "__main__":
    main()
