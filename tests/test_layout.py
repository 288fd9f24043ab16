"""The one direction of imports: the pipeline side never loads torch, the library never knows kfp."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "deepspeed", "lm_eval", "vllm"}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _violations(folder: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in _imported(path)
        if name.partition(".")[0] in forbidden
    ]


def test_the_library_knows_neither_kfp_nor_the_pipelines() -> None:
    assert _violations("gift", {"kfp", "components", "pipelines"}) == []


def test_pipelines_and_components_name_no_heavy_library() -> None:
    assert _violations("pipelines", HEAVY) == []
    assert _violations("components", HEAVY | {"pipelines"}) == []


@pytest.mark.parametrize(
    "module", ["pipelines.cli.main", "pipelines.local.runner", "gift.config", "gift.stages.lifecycle"]
)
def test_importing_the_pipeline_side_loads_no_heavy_library(module: str) -> None:
    """Not even through the modules of the library that it uses."""
    program = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_what_installs_packages_needs_none() -> None:
    """`-S`: not even this environment's own."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pipelines.install.torch_build"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


def test_every_component_has_a_readme() -> None:
    having = {
        name: {path.parent.name for path in (ROOT / "components").glob(f"*/{name}")}
        for name in ("__init__.py", "component.py", "README.md")
    }
    assert having["component.py"]
    assert having["__init__.py"] == having["component.py"] == having["README.md"]


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest, which imports each by its name alone, leaves out the second."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
