"""The rooms of the house from top to bottom, and who uses whom, read from the source without importing it.

A room is a folder of modules or one module. `ROOMS` is the only list of them: docs/figures/house.py draws it, and
tests/test_rooms.py holds the code to it.

Left out: imports whose name is made up at run time, and files that are no Python (jinja, YAML, Dockerfiles).
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipelines", "components", "gift")

ROOMS = (
    "pipelines.cli",
    "pipelines.schedules",
    "pipelines.doctor",
    "pipelines.kubeflow",
    "pipelines.serve",
    "pipelines.local",
    "pipelines",
    "pipelines.experiments",
    "pipelines.images",
    "pipelines.machine",
    "pipelines.install",
    "components",
    "gift.stages",
    "gift.run_page",
    "gift.verification",
    "gift.promotion",
    "gift.retention",
    "gift.execution",
    "gift.fault_injection",
    "gift.bench",
    "gift.training",
    "gift.policy",
    "gift.conversion",
    "gift.report",
    "gift.gate",
    "gift.evaluation",
    "gift.rollout",
    "gift.rewards",
    "gift.launch",
    "gift.system_metrics",
    "gift.registry",
    "gift.preflight",
    "gift.models",
    "gift.weights",
    "gift.hub",
    "gift.data",
    "gift.judge",
    "gift.workers",
    "gift.algorithms",
    "gift.tracking",
    "gift.storage",
    "gift.patience",
    "gift.config",
    "gift.fingerprint",
    "gift.webhook",
    "gift.progress",
    "gift.host",
    "gift.errors",
)
"""Upper rooms may use lower ones, never the other way round."""


@dataclass(frozen=True, order=True)
class Use:
    """One line of the module `user` that imports the module `used`, or names it in a string."""

    user: str
    used: str
    line: int
    is_import: bool


def read_modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the three packages by its dotted name; a folder is its `__init__.py`."""
    paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def room_of(module: str) -> str | None:
    """The room that a module is in; None for one that stands in the hall.

    A room with other rooms in it (`pipelines`) has only the modules at its own top.
    """
    parts = module.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    room = next((name for name in candidates if name in ROOMS), None)
    if room is None or module == room:
        return room
    has_rooms = any(other.startswith(f"{room}.") for other in ROOMS)
    at_top = len(parts) == room.count(".") + 2
    return room if at_top or not has_rooms else None


def read_uses(modules: Mapping[str, Path]) -> list[Use]:
    """Which module uses which: imports wherever they stand, also for types only, and names in strings.

    A string counts where it is the whole name of a module, alone or before `:attribute`, or begins a command with `-m`.
    Docstrings don't count, nor do sentences that tell a person what to type.
    """
    found: set[Use] = set()
    for user, path in modules.items():
        imported = ((_owner(name, modules), line, True) for name, line in imported_names(user, path))
        named = ((name, line, False) for name, line in _names_in_strings(path) if name in modules)
        found |= {Use(user, used, line, is_import) for used, line, is_import in (*imported, *named) if used}
    return sorted(use for use in found if use.used != use.user)


def imported_names(module: str, path: Path) -> Iterator[tuple[str, int]]:
    """The dotted names that a module imports, ours or not, each with its line."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]  # what `from . import x` starts from
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.name, node.lineno) for alias in aliases)
            case ast.ImportFrom(module=origin, names=aliases, level=level):
                above = package.split(".")[: package.count(".") + 2 - level] if level else []
                start = ".".join([*above, *([origin] if origin else [])])
                yield from ((f"{start}.{alias.name}", node.lineno) for alias in aliases)


def _names_in_strings(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    whole = re.compile(r"(\w+(?:\.\w+)+)(?::\w+)?$")
    command = re.compile(r"\s*(?:\S*python\S*\s+)?(?:-\S+\s+)*-m\s+(\w+(?:\.\w+)+)")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found = (whole.match(node.value), command.match(node.value))
            yield from ((match[1], node.lineno) for match in found if match)


def _owner(name: str, modules: Mapping[str, Path]) -> str | None:
    """The module that `gift.config.RunConfig` is a name in; None where it is not ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def uses_between_rooms(uses: list[Use]) -> dict[tuple[str, str], int]:
    """How many lines of one room use another room."""
    pairs = [(room_of(use.user), room_of(use.used)) for use in uses]
    return {(a, b): pairs.count((a, b)) for a, b in sorted({(a, b) for a, b in pairs if a and b and a != b})}
