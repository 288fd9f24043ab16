"""Packs what the machine with the GPU lacks into one file, at the versions of requirements/: `gpu.sh --pack FILE`.

Whatever torch brings along is there already, and nothing for CUDA is needed. Left out of the packages are their tests,
headers and sources, Arrow's servers, and the descriptions of all services but S3.
"""

import argparse
import importlib.metadata
import lzma
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from gift.errors import GiftError, printable
from pipelines.install.uv import uv_command, uv_environment

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
MOST_BYTES = 60 * 10**6
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2**24}]
"""Of xz: higher presets take a multiple of the time, and save a few per cent."""
CARRIED = """
accelerate annotated-doc annotated-types anyio boto3 botocore certifi charset-normalizer click datasets dill einops h11
hjson httpcore2 httpx2 huggingface-hub idna jmespath markdown-it-py mdurl msgpack multiprocess ninja numpy packaging
pandas psutil py-cpuinfo pyarrow pydantic pydantic-core pygments python-dateutil pyyaml regex requests rich s3transfer
safetensors shellingham six tokenizers tqdm transformers trl truststore typer
typing-inspection urllib3 xxhash
"""
"""deepspeed besides, which is published as source alone: it is taken as it is installed here, being plain Python."""
UNUSED = (
    "**/tests",
    "**/__pycache__",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pyi",
    "**/*.h",
    "**/*.a",
    "bin",
    "numpy/f2py",
    "pyarrow/include",
    "pyarrow/src",
    "deepspeed/ops/csrc",
    "pyarrow/*flight*",
    "pyarrow/libarrow_python*.so",  # three copies of each: those with the number of the interface are loaded
    "pyarrow/libarrow_python*.so.*.*",
)
MODELS = {"auto", "llama", "mistral", "qwen2", "qwen3", "smollm3"}
"""The families of transformers whose code is kept; of the others what transformers looks at when it is imported."""
UNUSED_OF_A_MODEL = ("modeling_*", "modular_*", "convert_*", "image_processing_*", "video_processing_*")
DESCRIBED = {"s3", "sts", "endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json"}
"""What of botocore/data is kept."""


def pack(file: Path, python: str) -> int:
    """Write the packages for CPython `python` (as 3.12) on x86-64 Linux; returns the bytes of `file`.

    Raises:
        GiftError: a package is not to be had, or the file is too large.
    """
    with tempfile.TemporaryDirectory(prefix="gift-pack-") as scratch:
        site = Path(scratch, "site")
        _install(site, python, Path(scratch, "requirements.txt"))
        _copy_installed("deepspeed", site)
        for path in _unused(site):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        with lzma.open(file, "wb", filters=FILTERS) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            for path in sorted(site.iterdir()):
                archive.add(path, path.name)
    size = file.stat().st_size
    if size >= MOST_BYTES:
        raise GiftError(f"{file} has {size / 1e6:.1f} MB, and must stay below {MOST_BYTES / 1e6:.0f}: carry less")
    return size


def _install(site: Path, python: str, requirements: Path) -> None:
    requirements.write_text("\n".join(_pins(CARRIED.split())), encoding="utf-8")
    command = ["pip", "install", "--quiet", "--target", str(site), "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", python, "--python-platform", f"{platform.machine()}-manylinux_2_28"]
    done = subprocess.run(  # noqa: S603 (no shell, and our own arguments)
        uv_command([*command, "--link-mode", "copy", "--requirement", str(requirements)]),
        env=uv_environment(),
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise GiftError(f"the packages can't be had for Python {python}: {' '.join(done.stderr.split())}")


def _unused(site: Path) -> list[Path]:
    found = [path for pattern in UNUSED for path in site.glob(pattern)]
    models = [path for path in (site / "transformers" / "models").iterdir() if path.name not in MODELS]
    found += [path for model in models for pattern in UNUSED_OF_A_MODEL for path in model.glob(pattern)]
    found += [path for path in (site / "botocore" / "data").iterdir() if path.name not in DESCRIBED]
    return [path for path in found if path.exists()]


def _pins(names: list[str]) -> list[str]:
    """`name==version` of each. Without the lock files' hashes, which are those of this project's own Python."""
    text = "".join((REQUIREMENTS / name).read_text(encoding="utf-8") for name in ("cpu.txt", "bench.txt"))
    found = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))
    if missing := [name for name in names if name not in found]:
        raise GiftError(f"requirements/ pins no {', '.join(missing)}: correct the list in {Path(__file__).name}")
    return [f"{name}=={found[name]}" for name in names]


def _copy_installed(name: str, site: Path) -> None:
    for file in importlib.metadata.files(name) or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), site / file)


def main() -> None:
    """Exit status 1 and one line if it can't be packed."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--pack", type=Path, required=True, metavar="FILE", help="ends in .tar.xz")
    parser.add_argument("--python", default="3.12", help="of the machine with the GPU (python3 --version)")
    arguments = parser.parse_args()
    try:
        size = pack(arguments.pack, arguments.python)
    except GiftError as error:
        sys.exit(printable(str(error)))
    print(f"{arguments.pack}: {size / 1e6:.1f} MB for Python {arguments.python}")


if __name__ == "__main__":
    main()
