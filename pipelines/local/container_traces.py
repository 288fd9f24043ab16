"""What the containers of a run leave in the Docker engine and in the run's folder, and how it goes."""

import re
import shutil
from contextlib import suppress
from pathlib import Path

import docker

from pipelines.machine.docker_engine import docker_engine

LABEL = "gift.run"
"""Containers carry it, with the run's id."""


def stop_containers(run_id: str) -> None:
    """Kill and remove what is left of a run's containers; the engine, not this process, is their parent."""
    with docker_engine() as engine:
        for container in engine.containers.list(all=True, filters={"label": f"{LABEL}={run_id}"}, ignore_removed=True):
            try:
                container.remove(force=True)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):  # it went meanwhile, or is going
                    raise


def remove_traces(run_id: str, folder: Path) -> None:
    """What a run leaves that was killed: containers, the name of its image, and what its stages worked on."""
    stop_containers(run_id)
    with docker_engine() as engine, suppress(docker.errors.ImageNotFound):
        engine.images.remove(image_name(run_id))
    for work in folder.glob(".work-*"):
        shutil.rmtree(work, ignore_errors=True)


def image_name(run_id: str) -> str:
    """A name of the run's own: the image's may come to mean another one while the run goes on."""
    return f"gift:{re.sub('[^a-zA-Z0-9.-]', '-', run_id)}"
