"""Runs every stage of a local run in a container, as a cluster would: hardened, limited, and offline by default.

The network `gift` has no way off this machine; on it, containers reach the local services at this machine's address,
and whatever else listens there. Credentials are in the containers' environment and nowhere else. A run whose profile
has `cluster.hub`, or samples on a vLLM server, gets the network `gift-hub`, which does lead out; where the environment
names the servers, Docker's own bridge leads to them.

Left out: GPUs, profiles that train on several nodes, and reward functions that are not in the image.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from kfp import local

from gift.config import FolderModel, JsonLinesData, ModelReward, RunConfig, data_folder
from gift.errors import GiftError
from gift.execution.outbox import OUTBOX_VARIABLE
from pipelines.images.describe import Image, built_image
from pipelines.local.container_traces import LABEL, image_name, stop_containers
from pipelines.local.docker_environment import check_surroundings, container_environment, weights_folder
from pipelines.local.runner import OUTBOX, StageRunner, Stages
from pipelines.machine.docker_engine import docker_engine
from pipelines.post_training import post_training_pipeline

WORK = "/work"
"""The image's folder for large temporary files."""
IMAGE_USER = 1000
PROCESSES = 4096
"""And threads, of a container."""


def containers(config: RunConfig, run_id: str) -> StageRunner:
    """The runner of one run, in the image that was built last.

    Raises:
        GiftError: no engine, no image of this checkout's sources, or servers or files that a container cannot reach.
    """
    servers_are_named = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    check_surroundings(config, servers_are_named=servers_are_named)
    for path in local_inputs(config):
        _check_links(path)
    image = built_image("gift")
    leads_out = config.cluster.hub or config.samples_on_server
    network, host = ("bridge", "") if servers_are_named else local_network(hub=leads_out)

    name = image_name(run_id)

    @contextmanager
    def around(folder: Path) -> Iterator[Stages]:
        pipeline_root = folder / "kfp"
        pipeline_root.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder, prefix=".work-"))
        outbox = (folder.parent / OUTBOX).resolve()
        outbox.mkdir(exist_ok=True)
        for writable in (pipeline_root, work, outbox):
            _give_to_image_user(writable)
        settings = container_settings(config, run_id, image, network, work)
        settings["mounts"].append(docker.types.Mount(str(outbox), str(outbox), type="bind"))
        settings["environment"][OUTBOX_VARIABLE] = str(outbox)
        with _named(image, name), _faults(run_id, settings["mem_limit"]) as faults:
            try:
                yield Stages(local.DockerRunner(**settings), faults=faults)
            finally:
                stop_containers(run_id)
                shutil.rmtree(work)

    pipeline = post_training_pipeline(lambda task, _stage: task.set_container_image(name))
    return StageRunner(pipeline, host, around, lambda: stop_containers(run_id))


def container_settings(config: RunConfig, run_id: str, image: Image, network: str, work: Path) -> dict[str, Any]:
    """What Docker is told about each container, in the words of its SDK's `containers.run`.

    The same for all stages, because kfp knows one setting: the limit is what the largest stage may use, or all of the
    machine's memory if that is less.
    """
    cluster = config.cluster
    asked = max(resources.memory_gib for resources in (cluster.light, cluster.model, cluster.training))
    with docker_engine() as engine:
        memory = min(int(asked * 2**30), engine.info()["MemTotal"])
    mounts = [docker.types.Mount(WORK, str(work.resolve()), type="bind")]
    for path in local_inputs(config):
        mounts.append(docker.types.Mount(str(path), str(path.resolve()), type="bind", read_only=True))
    if weights := weights_folder(config):
        mounts.append(docker.types.Mount(str(weights), str(weights.resolve()), type="bind"))
    return {
        "user": f"{_user()}:{_group()}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": {"/tmp": "mode=1777"},  # noqa: S108 - the container's own
        "mounts": mounts,
        "working_dir": str(Path.cwd()),  # paths in a profile may be relative to it
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": PROCESSES,
        "shm_size": int(cluster.shared_memory_gib * 2**30),
        "network": network,
        # torch asks for the name of its peer, and where no name server can be reached waits 10 seconds for none
        "extra_hosts": {"ip4-localhost": "::ffff:127.0.0.1"},
        "environment": container_environment(config, image),
        "labels": {LABEL: run_id},
    }


def local_inputs(config: RunConfig) -> list[Path]:
    """The absolute paths of files and folders on this machine that stages read."""
    paths: list[Path | None] = [data_folder(config.data)]
    if isinstance(config.data, JsonLinesData):
        paths += [config.data.train_file, config.data.heldout_file, config.data.scored_file]
    models = [config.model, *(reward.model for reward in config.rewards if isinstance(reward, ModelReward))]
    paths += [model.path for model in models if isinstance(model, FolderModel)]
    return sorted({path.absolute() for path in paths if path is not None})


def _check_links(path: Path) -> None:
    """Raises: GiftError: a folder has links to files outside of it, as the hub client's cache does."""
    for link in (inside for inside in path.rglob("*") if inside.is_symlink()):
        if not link.resolve().is_relative_to(path.resolve()):
            raise GiftError(
                f"{link} links out of {path}, which is all a container sees: name a copy without links, as "
                "`cp -rL` makes one"
            )


def local_network(*, hub: bool) -> tuple[str, str]:
    """The name of the network for stages, which is made if need be, and this machine's address on it."""
    name = "gift-hub" if hub else "gift"
    with docker_engine() as engine:
        found = engine.networks.list(names=[f"^{name}$"])
        network = found[0] if found else engine.networks.create(name, driver="bridge", internal=not hub)
        network.reload()
        if network.attrs["Internal"] == hub:
            raise GiftError(
                f"Docker's network {name} must {'' if hub else 'not '}lead out: remove it with `docker network rm`"
            )
        gateways = [entry["Gateway"] for entry in network.attrs["IPAM"]["Config"] if "." in entry.get("Gateway", "")]
    if not gateways:
        raise GiftError(f"Docker's network {name} has no IPv4 gateway: remove it with `docker network rm {name}`")
    return name, gateways[0]


@contextmanager
def _named(image: Image, name: str) -> Iterator[None]:
    """Inside, the image has this name as well."""
    with docker_engine() as engine:
        engine.images.get(image.id).tag(*name.split(":"))
    try:
        yield
    finally:
        with docker_engine() as engine:
            engine.images.remove(name)


@contextmanager
def _faults(run_id: str, memory: int) -> Iterator[list[str]]:
    """A list of what went wrong with the run's containers, by the engine's account; it grows while they run."""
    faults: list[str] = []

    def follow() -> None:
        for event in events:
            status = event["Actor"]["Attributes"].get("exitCode")
            if event["Action"] == "oom":
                faults.append(f"it ran out of memory: a container of this run may use {memory / 2**30:.2f} GiB")
            elif status != "0":
                faults.append(f"its container ended with status {status}")

    with docker_engine() as engine:
        filters = {"type": "container", "label": f"{LABEL}={run_id}", "event": ["die", "oom"]}
        events = engine.events(decode=True, filters=filters)
        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield faults
        finally:
            events.close()
            follower.join()


def _user() -> int:
    """Whoever runs us, so that files in the run's folder are theirs; but never root."""
    return os.getuid() or IMAGE_USER


def _group() -> int:
    return os.getgid() if os.getuid() else IMAGE_USER


def _give_to_image_user(folder: Path) -> None:
    if os.getuid() == 0:
        os.chown(folder, IMAGE_USER, IMAGE_USER)
