"""A machine whose pip is told nothing, but by the test."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def untold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of pip's or uv's, and none of the files of the real machine but those in /etc."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
