"""`benchmarks/gpu.sh`, packed and run on a CPU by a Python that has torch and nothing else, as where it is meant for.

What only a GPU shows (NCCL, CUDA's memory, times) is not shown here.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.sh"
PARTS = ["packages", "collectives", "memory", "memory-checkpointing", "step", "local-profile"]


def _needed_by(name: str) -> set[str]:
    """The distributions that it can't be without, itself among them."""
    found, todo = set(), [name]
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            needs = map(Requirement, importlib.metadata.requires(one) or [])
            todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def python_with_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of an environment with torch, what torch needs, and nothing else."""
    folder = tmp_path_factory.mktemp("torch-only")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    for name in _needed_by("torch"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pack") / "pack.tar.xz"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    done = _run(Path(sys.executable), "--pack", str(file), "--python", version)
    assert done.returncode == 0, done.stderr
    return file


def _run(python: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    told = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env=environment | told | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_carried_is_below_sixty_megabytes_and_has_no_torch(packed: Path) -> None:
    assert packed.stat().st_size < 60 * 10**6
    names = subprocess.run(["tar", "tf", str(packed)], capture_output=True, text=True, check=True).stdout.split()
    top = {name.split("/")[0].lower() for name in names}
    assert {"deepspeed", "trl", "transformers", "numpy"} <= top
    assert not [name for name in top if name.startswith(("torch", "nvidia", "triton"))]


def test_every_part_runs_with_torch_and_the_pack_alone(python_with_torch: Path, packed: Path, tmp_path: Path) -> None:
    arguments = ("--packed", str(packed), "--device", "cpu", "--budget", "tiny")
    done = _run(python_with_torch, *arguments, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["parts"]
    assert list(parts) == PARTS
    figures = {name: part["figures"] for name, part in parts.items()}
    assert figures["collectives"]["backend"] == "gloo"
    assert [figures[name]["activation_checkpointing"] for name in PARTS[2:4]] == [False, True]
    assert all(figures[name]["peak_bytes"] > figures[name]["resting_bytes"] > 0 for name in PARTS[2:4])
    assert set(figures["step"]["turns"]) == {"gift", "trl", "matrix"}
    assert len(figures["local-profile"]["heldout_accuracy"]) == 2
    report = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert all(f"## {name} (" in report for name in PARTS)


def test_a_part_that_fails_is_named_and_the_rest_still_runs(
    python_with_torch: Path, packed: Path, tmp_path: Path
) -> None:
    """A GPU is asked for where there is none."""
    done = _run(python_with_torch, "--packed", str(packed), "--out", str(tmp_path), "--budget", "tiny")
    assert done.returncode == 1
    assert "finds no GPU" in done.stdout
    assert "finds no GPU" in (tmp_path / "gpu.md").read_text(encoding="utf-8")


def test_what_is_no_pack_is_one_line(python_with_torch: Path, tmp_path: Path) -> None:
    (tmp_path / "no.tar.xz").write_text("no")
    done = _run(python_with_torch, "--packed", str(tmp_path / "no.tar.xz"), "--out", str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no.tar.xz can't be unpacked" in done.stderr
