"""What a module can reach, and which changes of it count."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gift.fingerprint.modules import Find, Reach, reach

Reached = Callable[[dict[str, str]], Reach]
"""File → text; reached is what `lib.main` can reach."""


@pytest.fixture
def reached(tmp_path: Path) -> Reached:
    def write_and_follow(files: dict[str, str]) -> Reach:
        for name, text in {"lib/__init__.py": "", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return reach(["lib.main"], _find_in(tmp_path))

    return write_and_follow


def _find_in(folder: Path) -> Find:
    def find(module: str) -> Path | None:
        path = folder.joinpath(*module.split("."))
        return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)

    return find


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import lib.other", {"lib.other"}),
        ("from lib import other", {"lib.other"}),
        ("from lib.other import thing", {"lib.other"}),
        ("from . import other", {"lib.other"}),
        ("from .deep.inner import x", {"lib.deep", "lib.deep.inner"}),
        ("def f():\n    from lib.other import thing", {"lib.other"}),
        ("try:\n    import lib.other\nexcept ImportError:\n    pass", {"lib.other"}),
        ("command = ['python', '-m', 'lib.other']", {"lib.other"}),
        ("text = f'!function lib.other.{1}'", {"lib.other"}),
        ("text = '!function lib.other.thing and more'", {"lib.other"}),
        ("file = 'data/task.yaml'", {"lib.main/data/task.yaml"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lib.other", set()),
        ("import typing\nif typing.TYPE_CHECKING:\n    import lib.other\nelse:\n    import lib.deep", {"lib.deep"}),
        ('"""See `lib.other`, and python -m lib.other."""', set()),
        ("# import lib.other", set()),
        ("text = 'lib.nothing'", set()),
    ],
)
def test_imports_and_modules_that_a_text_names_are_followed(reached: Reached, text: str, expected: set[str]) -> None:
    found = reached(
        {
            "lib/main.py": text,
            "lib/other.py": "thing = 1",
            "lib/deep/__init__.py": "",
            "lib/deep/inner.py": "x = 1",
            "lib/data/task.yaml": "a: 1",
        }
    )
    assert found.digests.keys() == {"lib", "lib.main"} | expected


def test_what_is_imported_and_not_followed_is_named(reached: Reached) -> None:
    found = reached({"lib/main.py": "import torch.nn\nfrom lm_eval.api import x\nimport json"})
    assert found.others == {"torch", "lm_eval", "json"}


def test_modules_may_import_each_other(reached: Reached) -> None:
    found = reached({"lib/main.py": "import lib.other", "lib/other.py": "import lib.main"})
    assert found.digests.keys() == {"lib", "lib.main", "lib.other"}


BEFORE = '''"""What it does."""

def f(x):
    """Twice x."""
    return x + x
'''


@pytest.mark.parametrize(
    "text",
    [
        BEFORE.replace("What it does", "What it is for"),
        BEFORE.replace("    return", "    # why\n    return"),
        BEFORE.replace("Twice x.", "Twice x,\n\n    in words."),
        BEFORE.replace("x + x", "(x\n            + x)"),
        BEFORE.replace('"""What it does."""\n', ""),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(reached: Reached, text: str) -> None:
    assert reached({"lib/main.py": text}) == reached({"lib/main.py": BEFORE})


@pytest.mark.parametrize(
    "text",
    [
        BEFORE.replace("x + x", "x + 1"),
        BEFORE.replace("f(x)", "f(x, y=0)"),
        BEFORE + "\nz = 'a text'\n",
    ],
)
def test_code_counts(reached: Reached, text: str) -> None:
    assert reached({"lib/main.py": text}) != reached({"lib/main.py": BEFORE})


def test_a_file_beside_a_module_counts_byte_by_byte(reached: Reached) -> None:
    files = {"lib/main.py": "FILE = 'task.yaml'", "lib/task.yaml": "a: 1"}
    assert reached(files) != reached(files | {"lib/task.yaml": "a: 1  # why"})
