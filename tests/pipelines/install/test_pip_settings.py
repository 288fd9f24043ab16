"""pip's settings as we read them, beside what pip says of itself."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.install.pip_settings import find_links, pip_settings


def said_by_pip() -> dict[str, str]:
    """`pip config list` has every level; later ones count more."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    levels: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        level, _, option = name.partition(".")
        levels.get(level, {})[option.replace("default-timeout", "timeout")] = ast.literal_eval(value)
    return {option: value for level in levels.values() for option, value in level.items() if value}


FILES = {
    "home/.pip/pip.conf": "[global]\ntimeout = 1\nindex-url = https://legacy.example/simple\n",
    "xdg_config_home/pip/pip.conf": "[global]\ntimeout = 2\nextra_index_url =\n  https://a.example\n  https://b.example\n",
    "xdg_config_dirs/pip/pip.conf": "[global]\ntimeout = 3\ncert = /machine.pem\n[install]\ncert = /install.pem\n",
    "named.conf": "[global]\nindex-url = https://named.example\n[install]\nno-index = true\n[freeze]\ntimeout = 9\n",
}


@pytest.mark.parametrize("files", [[], ["home"], ["home", "xdg_config_home"], ["xdg"], ["home", "xdg", "named"]])
@pytest.mark.parametrize(
    "variables", [{}, {"PIP_DEFAULT_TIMEOUT": "5", "PIP_CERT": "", "PIP_INDEX_URL": "https://env.example/simple"}]
)
def test_files_and_variables_count_as_they_do_for_pip(
    files: list[str], variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_CONFIG_FILE")
    for path, content in FILES.items():
        if path.startswith(tuple(files) or "none"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
    if "named" in files:
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "named.conf"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = pip_settings()
    settings.pop("config-file", None)
    expected = said_by_pip()
    expected.pop("config-file", None)
    assert settings == expected


def test_no_file_counts_where_pip_is_told_so() -> None:
    assert pip_settings() == {"config-file": os.devnull}


def test_folders_that_are_not_there_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "wheels").mkdir(parents=True)
    places = ["~/wheels", f"file://{tmp_path}", "https://example.org/wheels", str(tmp_path / "missing")]
    monkeypatch.setenv("PIP_FIND_LINKS", " ".join(places))
    assert find_links() == [str(tmp_path / "home" / "wheels"), str(tmp_path), "https://example.org/wheels"]
