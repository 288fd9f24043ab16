"""The real uv finds a package wherever pip would: each test has a package that is in one place alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheels import served, simple_index, wheel

from pipelines.install.uv import uv_environment


def dry_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.install.uv", "pip", "install", "--no-cache", "--dry-run"]
    command += ["--python", sys.executable, "gift-tiny", *arguments]
    once = os.environ | {"UV_HTTP_RETRIES": "0"}
    return subprocess.run(command, env=once, capture_output=True, text=True, check=False)


def found(*arguments: str) -> bool:
    tried = dry_run(*arguments)
    return tried.returncode == 0 and "gift-tiny==1" in tried.stderr


def test_a_folder_of_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "yes")
    assert "No solution found" in dry_run().stderr
    wheel(tmp_path / "wheels", "gift-tiny", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'missing'} {tmp_path / 'wheels'}")
    assert found()


@pytest.mark.parametrize("option", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
def test_an_index_with_a_certificate_of_its_own(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simple_index(tmp_path / "index", "gift-tiny", "1")
    with served(tmp_path / "index", tmp_path / "keys") as index:
        if option == "PIP_EXTRA_INDEX_URL":
            monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "empty").as_uri())
            (tmp_path / "empty").mkdir()
        monkeypatch.setenv(option, f"https://{index.address}/")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        assert not found()
        monkeypatch.setenv("PIP_CERT", str(index.ca))
        assert found()
        monkeypatch.delenv("PIP_CERT")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(index.ca))
        assert found()
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv("PIP_TRUSTED_HOST", index.address)
        assert found()


def test_an_index_on_this_machines_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", simple_index(tmp_path / "index", "gift-tiny", "1").as_uri())
    assert found()


def test_the_newest_of_all_indexes_as_pip_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", simple_index(tmp_path / "new", "gift-tiny", "1").as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", simple_index(tmp_path / "old", "gift-tiny", "0.1").as_uri())
    assert found()


def test_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simple_index(tmp_path / "index", "gift-tiny", "1")
    with served(tmp_path / "index", tmp_path / "keys", "packages.invalid", behind_tls=False) as proxy:
        monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/")
        monkeypatch.setenv("PIP_CERT", str(proxy.ca))
        assert not found()
        monkeypatch.setenv("PIP_PROXY", f"http://{proxy.address}")
        assert found()


def test_what_uv_is_told_itself_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    monkeypatch.setenv("UV_FIND_LINKS", "https://uv.example/wheels")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    environment = uv_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://uv.example/simple"
    assert environment["UV_FIND_LINKS"] == f"https://uv.example/wheels,{tmp_path}"


def test_a_machine_that_says_nothing_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert uv_environment() == {"UV_INDEX_STRATEGY": "unsafe-best-match"} | os.environ


@pytest.mark.parametrize(("pips", "uvs"), [("20", "20"), ("0.5", "1"), ("1.2", "2"), ("soon", None)])
def test_a_timeout_in_whole_seconds(pips: str, uvs: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_HTTP_TIMEOUT", raising=False)
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", pips)
    assert uv_environment().get("UV_HTTP_TIMEOUT") == uvs
