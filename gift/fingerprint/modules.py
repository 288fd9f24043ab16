"""Which modules a module can reach, and what their code says.

    import x, from x import y     anywhere, also inside functions, but not under `if TYPE_CHECKING:`
    "gift.training.rl"            a module named in a text: another process runs it, or lm-eval calls into it
    "tasks/heldout.yaml"          a file beside the module

Comments, docstrings and layout say nothing that a program does, so they do not count. Left out: modules whose names are
put together at run time, and which functions of a module are called.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Find = Callable[[str], Path | None]
"""Name of a module → its source file, or None for one that is not followed."""

Mention = tuple[Literal["import", "name", "file"], str]
"""An import is a module; a name may be one, and a file may be beside us."""

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
_FILE = re.compile(r"[\w-][\w./-]*\.\w+")


@dataclass(frozen=True)
class Reach:
    """What a program can reach."""

    digests: dict[str, str]
    """Module (or `module/file` for a file beside it) → 16 hexadecimal digits that say what it does."""
    others: frozenset[str]
    """Top-level names of the modules that are imported and not followed."""


def reach(start: Iterable[str], find: Find) -> Reach:
    """Follow every import and every named module from `start`. Packages on the way are run as well, so they count.

    Raises:
        SyntaxError: a source file is no Python.
    """
    digests: dict[str, str] = {}
    others: set[str] = set()
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        path = find(module)
        if path is None:
            others.add(module.partition(".")[0])
        if path is None or module in digests:
            continue
        digests[module], mentions = _read(path.read_bytes(), module, path.name)
        if "." in module:
            waiting.append(module.rpartition(".")[0])
        for kind, name in mentions:
            if kind == "file":
                if _FILE.fullmatch(name) and not name.endswith(".py") and (path.parent / name).is_file():
                    digests[f"{module}/{name}"] = _sha256((path.parent / name).read_bytes())
            elif kind == "import" or find(name) is not None:
                waiting.append(name)
    return Reach(digests, frozenset(others))


@cache
def _read(source: bytes, module: str, file: str) -> tuple[str, tuple[Mention, ...]]:
    """The digest of a module's code, and what the code mentions; several stages of one run reach the same modules."""
    if not file.endswith(".py"):  # a compiled extension
        return _sha256(source), ()
    tree = ast.parse(source, file)
    digest = _digest_of_code(tree)
    return digest, tuple(dict.fromkeys(_mentions(tree, module, is_package=file == "__init__.py")))


def _digest_of_code(tree: ast.Module) -> str:
    """Takes the docstrings out of `tree`, so that nothing is looked for in them either."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
    return _sha256(ast.dump(tree).encode())


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or the one of an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _mentions(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[Mention]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        match node:
            case ast.Import():
                yield from (("import", alias.name) for alias in node.names)
            case ast.ImportFrom():
                source = _imported_from(node, module, is_package=is_package)
                yield "import", source
                yield from (("name", f"{source}.{alias.name}") for alias in node.names)
            case ast.Constant(value=str(text)):
                yield "file", text
                for parts in (name.split(".") for name in _NAME.findall(text)):
                    yield from (("name", ".".join(parts[:length])) for length in range(len(parts), 1, -1))


def _last_name(test: ast.expr) -> str:
    """`TYPE_CHECKING` for itself and for `typing.TYPE_CHECKING`."""
    return getattr(test, "attr", getattr(test, "id", ""))


def _imported_from(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """The absolute name of what `from … import` names."""
    if not node.level:
        return node.module or ""
    package = module.split(".")[: None if is_package else -1]
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
