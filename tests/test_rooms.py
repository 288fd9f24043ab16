"""Every module is in a room, arrows between rooms point down, and what a room says of itself is true."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from rooms import ROOMS, ROOT, Use, read_modules, read_uses, room_of, uses_between_rooms

MODULES = read_modules()
USES = read_uses(MODULES)
MOST_MODULES = 16
"""About fifteen: `gift.stages` has 14 stages, and two modules beside them."""

CLAIM = re.compile(r"May import (every room below|[^.]+)\.|Imports no other room\.")


def _upward(uses: Iterable[Use]) -> list[str]:
    """The uses that lead from a room to one above it, or to no room, for people."""
    wrong = []
    for use in uses:
        user, used = room_of(use.user), room_of(use.used)
        if user is None or used is None or ROOMS.index(user) > ROOMS.index(used):
            wrong.append(f"{use.user}:{use.line} uses {use.used}")
    return wrong


def _circle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    below = defaultdict(set)
    for upper, lower in pairs:
        below[upper].add(lower)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _docstring(module: str) -> str:
    return ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))) or ""


def test_every_room_is_there_and_every_module_is_in_a_room() -> None:
    assert [room for room in ROOMS if room not in MODULES] == []
    assert [module for module in MODULES if room_of(module) is None] == ["gift"], (
        "list its room in docs/figures/rooms.py"
    )


@pytest.mark.parametrize("hall", ["gift", "pipelines"])
def test_a_folder_of_rooms_does_nothing_when_it_is_imported(hall: str) -> None:
    """Whoever imports a room imports the folder around it first."""
    (statement,) = ast.parse(MODULES[hall].read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr)


def test_arrows_between_rooms_point_down() -> None:
    assert _upward(USES) == []


def test_there_are_no_circles() -> None:
    """A program that a module starts by name may import that module: they are two processes."""
    assert _circle((use.user, use.used) for use in USES if use.is_import) == []
    assert _circle(uses_between_rooms(USES)) == []


def test_no_folder_has_more_modules_than_one_room_holds() -> None:
    sizes = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in MODULES.values()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_at_the_top_of_the_pipelines_there_are_only_pipelines() -> None:
    tops = [path for name, path in MODULES.items() if room_of(name) == "pipelines" and name != "pipelines"]
    assert tops
    assert [path.name for path in tops if "dsl.pipeline(" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_happens_in_it_and_what_it_may_import(room: str) -> None:
    """Its first line is one sentence (the picture quotes it), and the rooms that it names are those that it uses."""
    text = _docstring(room)
    first, *rest = text.splitlines()
    assert first[-1] in ".?"
    assert rest
    claims = list(CLAIM.finditer(re.sub(r"\s+", " ", text)))
    assert len(claims) == 1, (
        "say once: May import `a`, `b` and `c`. | May import every room below. | Imports no other room."
    )
    if claims[0][1] == "every room below":
        return
    used = {room_of(use.used) or "" for use in USES if room_of(use.user) == room} - {room}
    named = set(re.findall(r"`(\w+)`", claims[0][1] or ""))
    assert named == {name.rpartition(".")[2] for name in used}


def _tree(root: Path, files: dict[str, str]) -> list[Use]:
    for name in ("gift", "gift/errors", "gift/data", "gift/stages"):
        (root / name).mkdir()
        (root / name / "__init__.py").touch()
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    return read_uses(read_modules(root))


@pytest.mark.parametrize(
    "line",
    [
        "import gift.stages.evaluate",
        "import gift.stages.evaluate as below",
        "from gift.stages.evaluate import evaluate",
        "from gift.stages import evaluate",
        "from gift import stages",
        "from ..stages import evaluate",
        "from .. import stages",
        "def later():\n    from gift.stages import evaluate",
        "if TYPE_CHECKING:\n    from gift.stages.evaluate import evaluate",
        "importlib.import_module('gift.stages.evaluate')",
        "ENTRY = 'gift.stages.evaluate:evaluate'",
        "run([sys.executable, '-m', 'gift.stages.evaluate'])",
        "system('python -m gift.stages.evaluate now')",
        "system(f'{sys.executable} -P -m gift.stages.evaluate')",
    ],
)
def test_an_arrow_that_points_up_is_seen_however_it_is_written(line: str, tmp_path: Path) -> None:
    uses = _tree(tmp_path, {"gift/stages/evaluate.py": "", "gift/data/tokens.py": f"import sys\n{line}\n"})
    assert len(_upward(uses)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "import torch",
        "from gift.errors import GiftError",
        "from . import problems",
        "TAG = 'gift.stage'",
        '"""See gift.stages.evaluate."""',
        "raise ValueError('go there, and in it python -m gift.stages.evaluate')",
    ],
)
def test_what_leads_down_or_nowhere_is_no_arrow_up(line: str, tmp_path: Path) -> None:
    files = {"gift/stages/evaluate.py": "", "gift/data/problems.py": "", "gift/data/tokens.py": f"{line}\n"}
    assert _upward(_tree(tmp_path, files)) == []


def test_a_new_module_beside_the_rooms_and_a_new_folder_among_them_are_in_no_room() -> None:
    assert room_of("gift.utils") is None
    assert room_of("gift.serving.client") is None
    assert room_of("pipelines.serving.client") is None
    assert room_of("pipelines.post_training") == "pipelines"
    assert room_of("gift.report.comparison.html") == "gift.report"


def test_a_circle_of_modules_is_seen(tmp_path: Path) -> None:
    uses = _tree(tmp_path, {"gift/data/a.py": "from gift.data import b", "gift/data/b.py": "from gift.data.a import x"})
    assert set(_circle((use.user, use.used) for use in uses)) == {"gift.data.a", "gift.data.b"}
