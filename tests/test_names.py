"""A public name stands for one thing in the whole house.

It may be defined again only where one of the two modules uses the other's: a pipeline, its component and its stage; a
command of the CLI and what it calls. The function that starts a program (`main`, `train`) is named by its module.
"""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from rooms import imported_names, read_modules

DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _names_of_two_things(modules: Mapping[str, Path]) -> dict[str, list[str]]:
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in modules.items()}
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for name in {node.name for node in tree.body if isinstance(node, DEFINITIONS)}:
            if not name.startswith("_") and not _starts_a_program(tree, name):
                found[name].append(module)
    several = {name: where for name, where in found.items() if len(where) > 1}
    return {name: where for name, where in several.items() if not _is_one_thing(name, where, modules, trees)}


def _starts_a_program(tree: ast.Module, name: str) -> bool:
    guards = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
    return any(isinstance(node, ast.Name) and node.id == name for guard in guards for node in ast.walk(guard))


def _is_one_thing(name: str, where: list[str], modules: Mapping[str, Path], trees: Mapping[str, ast.Module]) -> bool:
    """Whether each of the definitions uses, or is used by, one that is known to be the same thing."""

    def uses(user: str, used: str) -> bool:
        imported = {imported for imported, _ in imported_names(user, modules[user])}
        through_module = any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(trees[user]))
        return f"{used}.{name}" in imported or (used in imported and through_module)

    same, rest = {where[0]}, set(where[1:])
    while near := {b for b in rest if any(uses(a, b) or uses(b, a) for a in same)}:
        same, rest = same | near, rest - near
    return not rest


def test_no_public_class_or_function_has_the_name_of_another() -> None:
    assert _names_of_two_things(read_modules()) == {}


@pytest.mark.parametrize(
    ("first", "second", "are_two"),
    [
        ("class Plan: ...", "class Plan: ...", True),
        ("def connect(): ...", "async def connect(): ...", True),
        ("def follow(): ...", "def follow():\n    from gift.first import follow as run", False),
        ("def register(): ...", "from gift import first\ndef register(): first.register()", False),
        ("def register(): ...", "from gift import first\ndef register(): first.other()", True),
        ("def _fail(): ...", "def _fail(): ...", False),
        *(
            (f"def main(): ...\nif __name__ == '__main__':\n    {call}", "def main(): ...", are_two)
            for call, are_two in (("main()", False), ("other()", True))
        ),
    ],
)
def test_two_things_under_one_name_are_seen(first: str, second: str, are_two: bool, tmp_path: Path) -> None:
    (tmp_path / "gift").mkdir()
    for name, text in {"__init__": "", "first": first, "second": second}.items():
        (tmp_path / "gift" / f"{name}.py").write_text(text, encoding="utf-8")
    assert bool(_names_of_two_things(read_modules(tmp_path))) == are_two
