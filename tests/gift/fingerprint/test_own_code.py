"""The user's own reward code: what of it decides a training."""

from importlib.metadata import version
from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.fingerprint.library import reach_in_library
from gift.fingerprint.own_code import own_code


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path with a package `my_rewards` and a module `my_words` beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "my_rewards"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('nothing is run')")
    (package / "short.py").write_text(
        "import json\nimport numpy\nimport my_words\nfrom . import limits\nfrom gift.data.problems import Problem\n"
        "def short(completion, problem):\n    return float(len(completion) < limits.LONGEST)\n"
    )
    (package / "limits.py").write_text("LONGEST = 10\n")
    (package / "unused.py").write_text("X = 1\n")
    (tmp_path / "my_words.py").write_text("WORDS = ()\n")
    return tmp_path


def test_its_modules_and_the_versions_of_what_they_import_count(project: Path) -> None:
    found = own_code("my_rewards.short:short")
    modules = {"my_rewards", "my_rewards.short", "my_rewards.limits", "my_words"}
    assert {name for name in found if name.startswith("code ")} == {f"code {module}" for module in modules}
    assert {name: value for name, value in found.items() if name.startswith("package ")} == {
        "package numpy": version("numpy")
    }


@pytest.mark.parametrize("file", ["my_rewards/limits.py", "my_words.py", "my_rewards/short.py"])
def test_a_change_in_any_of_them_counts(project: Path, file: str) -> None:
    before = own_code("my_rewards.short:short")
    with (project / file).open("a") as code:
        code.write("NEW = 1\n")
    after = own_code("my_rewards.short:short")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"code {file.removesuffix('.py').replace('/', '.')}"}


def test_what_the_function_does_not_reach_does_not_count(project: Path) -> None:
    before = own_code("my_rewards.short:short")
    (project / "my_rewards" / "unused.py").write_text("X = 2\n")
    assert own_code("my_rewards.short:short") == before


@pytest.mark.parametrize("module", ["no_such_module", "my_rewards.nothing"])
def test_a_function_that_is_on_other_nodes_alone_counts_by_its_name(project: Path, module: str) -> None:
    assert own_code(f"{module}:f") == {f"code {module}": "not on this machine"}


def test_a_compiled_module_counts_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_compiled.abi3.so").write_bytes(b"one")
    before = own_code("my_compiled:f")
    (tmp_path / "my_compiled.abi3.so").write_bytes(b"two")
    assert before.keys() == own_code("my_compiled:f").keys() == {"code my_compiled"}
    assert before != own_code("my_compiled:f")


def test_a_function_of_python_itself_is_decided_by_pythons_version() -> None:
    assert own_code("operator:eq") == {}


def test_code_that_is_no_python_is_one_line(project: Path) -> None:
    (project / "my_rewards" / "limits.py").write_text("LONGEST = \n")
    with pytest.raises(GiftError, match=r"limits\.py, line 1, is no Python"):
        own_code("my_rewards.short:short")


def test_modules_in_folders_without_init_count(project: Path) -> None:
    nested = project / "my_space" / "deep"
    nested.mkdir(parents=True)
    (nested / "words.py").write_text("WORDS = ()\n")
    (nested / "reward.py").write_text("from my_space.deep import words\nNAMED = 'my_space.deep.named'\n")
    (nested / "named.py").write_text("X = 1\n")
    expected = {f"code my_space.deep.{name}" for name in ("reward", "words", "named")}
    assert own_code("my_space.deep.reward:f").keys() == expected
    (project / "my_words.py").write_text("from my_space.deep import words\n")
    assert "code my_space.deep.words" in own_code("my_rewards.short:short")


def test_what_it_takes_from_this_library_counts_as_for_a_stage(project: Path) -> None:
    with (project / "my_words.py").open("a") as code:
        code.write("def f():\n    from gift.evaluation import scoring\n")
    found = own_code("my_rewards.short:short")
    stage = {f"source {name}": digest for name, digest in reach_in_library("gift.evaluation.scoring").digests.items()}
    assert "source gift.evaluation.scoring" in stage
    assert stage.items() <= found.items()
    assert own_code("gift.evaluation.scoring:marks_of").items() >= stage.items()
