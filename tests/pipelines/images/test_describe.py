"""What an image is made from, and the faults of the surroundings that a build names; no engine is needed here."""

import subprocess
from pathlib import Path

import pytest
from tiny_wheels import wheel
from typer.testing import CliRunner

from gift.errors import GiftError
from pipelines.cli.main import app
from pipelines.images import build, describe
from pipelines.install.torch_build import torch_pin
from pipelines.machine.docker_engine import buildkit_client


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with the shape of ours; nothing is committed."""
    files = {
        "gift/code.py": "print(1)",
        "gift/README.md": "text",
        "gift/code.pyc": "compiled",
        "requirements/cpu.txt": "a==1",
        "requirements/development.txt": "b==1",
        "images/gift/Dockerfile": "FROM scratch",
        "images/other/Dockerfile": "FROM scratch",
        "tests/test_code.py": "",
        "credentials.json": "secret",
        ".gitignore": "*.pyc\n",
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(describe, "CHECKOUT", tmp_path)
    monkeypatch.setattr(describe, "BUILT", tmp_path / "images" / "built")
    return tmp_path


def test_the_foundation_follows_base_and_dockerfile_but_not_our_code(checkout: Path) -> None:
    def digest(base: str = "sha256:base") -> str:
        return describe.foundation_digest("gift", "cpu", base)

    first = digest()
    (checkout / "gift" / "code.py").write_text("print(2)")
    (checkout / "requirements" / "cpu.txt").write_text("a==2")
    (checkout / "images" / "other" / "Dockerfile").write_text("FROM other")
    assert digest() == first
    (checkout / "images" / "gift" / "Dockerfile").write_text("FROM other")
    assert len({first, digest(), digest("sha256:other"), describe.foundation_digest("gift", "gpu", "sha256:base")}) == 4


def test_a_build_sees_sources_alone(checkout: Path) -> None:
    expected = ["gift/code.py", "images/gift/Dockerfile", "requirements/cpu.txt"]
    assert [path.as_posix() for path in describe.source_files("gift")] == expected
    assert describe.image_names() == ["gift", "other"]


def test_the_source_digest_follows_contents_and_names(checkout: Path) -> None:
    def digest() -> str:
        return describe.files_digest(describe.source_files("gift"))

    first = digest()
    (checkout / "gift" / "README.md").write_text("other text")
    (checkout / "tests" / "test_code.py").write_text("assert True")
    assert digest() == first
    (checkout / "gift" / "code.py").write_text("print(2)")
    changed = digest()
    assert changed != first
    (checkout / "gift" / "code.py").rename(checkout / "gift" / "renamed.py")
    assert digest() not in (first, changed)


def test_an_image_that_was_never_built_says_what_to_run(checkout: Path) -> None:
    with pytest.raises(GiftError, match="image gift has not been built here: run `gift images build --cpu`"):
        describe.built_image("gift")


def test_a_damaged_record_is_named(checkout: Path) -> None:
    record = checkout / "images" / "built" / "gift" / "image.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    with pytest.raises(GiftError, match=r"image\.json is damaged: delete it"):
        describe.built_image("gift")


def test_an_installation_has_nothing_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "CHECKOUT", tmp_path)
    with pytest.raises(GiftError, match="run `gift` from a checkout"):
        describe.image_names()
    with pytest.raises(GiftError, match="must be a git repository"):
        describe.source_files("gift")


def test_without_an_engine_the_command_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    result = CliRunner().invoke(app, ["images", "build", "--cpu"])
    assert result.exit_code == 1
    assert "no Docker engine answers" in result.output
    assert "Traceback" not in result.output


def fake_client(folder: Path, options: str) -> Path:
    folder.mkdir()
    client = folder / "docker"
    client.write_text(f"#!/bin/sh\necho '{options}'\n")
    client.chmod(0o755)
    return client


def test_the_first_client_with_buildkit_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = fake_client(tmp_path / "first", "--tag")
    able = fake_client(tmp_path / "second", "--tag --secret")
    monkeypatch.setenv("PATH", f"{without.parent}:{able.parent}")
    assert buildkit_client() == str(able)
    monkeypatch.setenv("PATH", str(without.parent))
    with pytest.raises(GiftError, match=f"none of {without} can build with BuildKit"):
        buildkit_client()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GiftError, match="no client `docker` on PATH"):
        buildkit_client()


def test_only_the_cpu_build_of_torch_in_pips_folders_gets_into_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = torch_pin().removeprefix("torch==")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path}/gone {tmp_path}/found https://example.org/wheels")
    for other in (version, "0.1+cpu"):
        wheel(tmp_path / "found", "torch", other)
    assert build.cpu_wheels() == []
    cpu = wheel(tmp_path / "found", "torch", f"{version}+cpu")
    assert build.cpu_wheels() == [cpu]
