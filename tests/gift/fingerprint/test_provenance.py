import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from gift.fingerprint import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small git repository whose only content is a copy of the module, which takes it for its package."""
    monkeypatch.delenv("GIFT_GIT_SHA", raising=False)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    shutil.copy(provenance.__file__, tmp_path)
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_the_checkout_s_and_changes_make_it_dirty(checkout: Path) -> None:
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "first")
    assert provenance.git_sha() == git(checkout, "rev-parse", "HEAD")
    (checkout / "new.py").write_text("1", encoding="utf-8")
    assert provenance.git_sha() == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_the_commit_of_a_repository_that_does_not_hold_the_package_is_not_reported(checkout: Path) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "somebody else's")
    assert provenance.git_sha() == "unknown"


def test_images_name_their_commit_and_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_GIT_SHA", "c0ffee")
    monkeypatch.setenv("GIFT_IMAGE_DIGEST", "sha256:abc")
    facts = provenance.provenance()
    assert (facts["git_sha"], facts["image_digest"]) == ("c0ffee", "sha256:abc")


def test_installed_packages_are_reported_without_importing_them() -> None:
    code = (
        "import sys; from gift.fingerprint.provenance import provenance; facts = provenance(); "
        "assert not {'torch', 'mlflow', 'boto3'} & set(sys.modules); print(facts['torch'], facts['mlflow'])"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == [version("torch"), version("mlflow")]
