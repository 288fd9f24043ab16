"""How we reach Docker: its Python SDK for questions, and a command line client for builds, which need BuildKit.

Left out: starting an engine, and other container engines.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from gift.errors import GiftError


@contextmanager
def docker_engine() -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names (`DOCKER_HOST`), or of this machine's; closed at the end.

    Raises:
        GiftError: no engine answers, or it refuses what is asked of it inside.
    """
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise GiftError(f"no Docker engine answers ({error}): start one, or name it in DOCKER_HOST") from error
    try:
        yield client
    except docker.errors.APIError as error:
        raise GiftError(f"the Docker engine refuses: {error.explanation or error}") from error
    finally:
        client.close()


def buildkit_client() -> str:
    """The path of the first `docker` client on PATH that can build with BuildKit.

    Raises:
        GiftError: there is none; new clients need the plug-in `buildx` for it.
    """
    folders = os.environ.get("PATH", "").split(os.pathsep)
    clients = dict.fromkeys(filter(None, (shutil.which("docker", path=folder) for folder in folders)))
    for client in clients:
        command = [client, "build", "--help"]
        known = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)  # noqa: S603
        if "--secret" in known.stdout:
            return client
    found = f"none of {', '.join(clients)} can" if clients else "there is no client `docker` on PATH that could"
    raise GiftError(f"{found} build with BuildKit: install Docker's plug-in buildx, or Debian's package docker.io")


def logged(command: list[str], log: Path, mode: str) -> bool:
    """Run a client's command with its output in `log` (opened with `mode`); whether it succeeded."""
    with log.open(mode) as output:
        finished = subprocess.run(  # noqa: S603 - the commands are our own, and no shell reads them
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    return finished.returncode == 0


def image_digest(image: Mapping[str, Any]) -> str:
    """What identifies an image's content: a registry's digest (`name@sha256:…`), or else the engine's own id."""
    return next(iter(image.get("RepoDigests") or ()), str(image["Id"]))


def _environment() -> dict[str, str]:
    return {**os.environ, "DOCKER_BUILDKIT": "1"}
