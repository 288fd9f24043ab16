"""Kubeflow Trainer and a kubelet in miniature: the pods of a TrainJob are Docker containers on one network.

They are hardened as in the cluster's training runtime: uid 1000, read-only root, no capabilities, a memory limit.
Everything in the TrainJob counts: image, command, number of nodes and the Secrets that its environment names.
"""

import re
import threading
import time
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

CODE_OF_A_KILL = 137


class DockerNodes:
    """Runs the TrainJobs of a `kubernetes_server.Cluster`."""

    def __init__(
        self, cluster: Any, engine: docker.DockerClient, network: str, secrets: dict[str, str], folder: Path
    ) -> None:
        self._cluster, self._engine, self._network, self._secrets = cluster, engine, network, secrets
        self._folder = folder
        self.containers: list[Container] = []
        self.reward_folder: Path | None = None
        """Mounted into every node, and importable there."""
        cluster.on_create = self._run_job
        cluster.on_delete = self._stop

    def remove_all(self) -> None:
        for container in self._engine.containers.list(all=True, filters={"label": f"gift.test={self._folder.name}"}):
            container.remove(force=True)

    def _run_job(self, job: dict[str, Any]) -> None:
        self._cluster.start_pods(job)
        self.containers = [self._start(job, node) for node in range(job["spec"]["trainer"]["numNodes"])]
        threads = [
            threading.Thread(target=work, args=(node, container), daemon=True)
            for node, container in enumerate(self.containers)
            for work in (self._copy_log, self._wait)
        ]
        for thread in threads:
            thread.start()
        codes = self._codes(len(self.containers))
        if any(codes):  # the JobSet's policy: when one node fails, all are ended
            self._stop(job["metadata"]["name"])
        for thread in threads:
            thread.join()
        self._cluster.set_condition(job, "Failed" if any(codes) else "Complete")

    def _start(self, job: dict[str, Any], node: int) -> Container:
        name, trainer = job["metadata"]["name"], job["spec"]["trainer"]
        environment = {
            entry["name"]: value
            for entry in trainer["env"]
            if (value := entry.get("value", self._secrets.get(_secret_key(entry)))) is not None
        }
        host = f"{name}-node-0-{node}"
        environment |= {
            "PET_NNODES": str(trainer["numNodes"]),
            "PET_NODE_RANK": str(node),
            "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
            "PET_MASTER_ADDR": f"{name}-node-0-0.{name}",
            "PET_MASTER_PORT": "29500",
            "PYTHONPATH": "/reward",
        }
        mounts = [docker.types.Mount("/dev/termination-log", str(self._message(node)), type="bind")]
        if self.reward_folder is not None:
            mounts.append(docker.types.Mount("/reward", str(self.reward_folder), type="bind", read_only=True))
        return self._engine.containers.run(
            trainer["image"],
            trainer["command"],
            detach=True,
            name=f"{self._folder.name}-{host}-{time.monotonic_ns()}",
            hostname=host,
            labels={"gift.test": self._folder.name},
            networking_config={self._network: docker.types.EndpointConfig(version="1.44", aliases=[f"{host}.{name}"])},
            network=self._network,
            environment=environment,
            mounts=mounts,
            user="1000:1000",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "mode=1777", "/work": "mode=1777"},
            mem_limit="3g",
            shm_size="64m",
            extra_hosts={"ip4-localhost": "::ffff:127.0.0.1"},  # see pipelines.local.docker_runner
        )

    def _message(self, node: int) -> Path:
        path = self._folder / f"termination-{node}"
        path.write_text("")
        path.chmod(0o666)
        return path

    def _copy_log(self, node: int, container: Container) -> None:
        rest = b""
        for chunk in container.logs(stream=True, follow=True, timestamps=True):
            *lines, rest = (rest + chunk).split(b"\n")
            log = self._cluster.logs.get(sorted(self._cluster.logs)[node], [])
            log.extend(line.decode(errors="replace") for line in lines)

    def _wait(self, node: int, container: Container) -> None:
        code = container.wait()["StatusCode"]
        message = (self._folder / f"termination-{node}").read_text()
        self._cluster.end_pod(node, code, "OOMKilled" if code == CODE_OF_A_KILL else "Error", message or None)

    def _codes(self, nodes: int) -> list[int]:
        """Exit codes, once one node has failed, or all have ended."""
        while True:
            ended = [
                state["terminated"]["exitCode"]
                for pod in self._cluster.pods.values()
                for state in [pod["status"]["containerStatuses"][0]["state"]]
                if "terminated" in state
            ]
            if any(ended) or len(ended) == nodes:
                return ended
            time.sleep(0.2)

    def _stop(self, _name: str) -> None:
        for container in self.containers:
            try:
                container.stop(timeout=20)
            except docker.errors.NotFound:
                continue


def address_of(error: str) -> str:
    """The IP address in a node's name, as errors have it."""
    found = re.search(r"node \d of \d \(([\d.]+)\)", error)
    assert found, error
    return found[1]


def _secret_key(entry: dict[str, Any]) -> str | None:
    """The key of a Secret that a variable comes from."""
    return entry.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
