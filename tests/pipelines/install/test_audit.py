"""What is said of the packages that are installed."""

from email.message import Message
from pathlib import Path

import pytest
from tiny_wheels import simple_index

from pipelines.install.audit import licence_of, pinned_versions, unpinned, yanked

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements"


@pytest.mark.parametrize(
    ("entries", "licence"),
    [
        ({"License-Expression": "MIT", "License": "see LICENSE"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache Software License"),
        ({"Classifier": "License :: OSI Approved", "License": "ISC"}, "ISC"),
        ({"License": "BSD 3-Clause\n\nCopyright (c) …"}, "BSD 3-Clause"),
        ({"License": "x" * 1000}, "x" * 60),
        ({"Classifier": "Programming Language :: Python"}, "not said"),
    ],
)
def test_the_licence_is_what_the_package_says(entries: dict[str, str], licence: str) -> None:
    metadata = Message()
    for name, value in entries.items():
        metadata[name] = value
    assert licence_of(metadata) == licence


def test_what_no_lock_file_pins_is_named() -> None:
    pinned = pinned_versions(REQUIREMENTS)
    assert {"torch", "deepspeed", "mypy", "uv"} <= pinned.keys()
    (torch,) = pinned["torch"]
    assert unpinned({"torch": f"{torch}+cpu", "pip": "1", "gift-kubeflow": "0"}, pinned) == []
    assert unpinned({"torch": "0.1", "stranger": "3"}, pinned) == ["stranger 3", "torch 0.1"]


def test_a_release_that_was_withdrawn_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = simple_index(tmp_path / "index", "gift-tiny", "1")
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    assert yanked(["--no-cache", "gift-tiny==1"]) == []
    page = index / "gift-tiny" / "index.html"
    page.write_text(page.read_text().replace("<a ", '<a data-yanked="it deletes files" '))
    (warning,) = yanked(["--no-cache", "gift-tiny==1"]) or ()
    assert "gift-tiny==1" in warning
    assert "it deletes files" in warning
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "nowhere").as_uri())
    assert yanked(["--no-cache", "gift-tiny==1"]) is None
