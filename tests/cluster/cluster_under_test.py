"""What the tests of a real cluster do with it: tiny runs, and the end of everything that they started.

Left out: what the command line does besides (tests/pipelines/kubeflow).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubernetes.client import ApiException
from tiny_settings import TINY_MODEL

from gift.config import load_profile
from gift.errors import GiftError
from pipelines.kubeflow import cluster_run
from pipelines.kubeflow.cluster_run import ENDED, ClusterRun, read_cluster_run
from pipelines.kubeflow.follow import follow
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

NAME = "gift-cluster-test"
TINY = (
    f"registered_model={NAME}",
    f"experiment={NAME}",
    *TINY_MODEL,
    "data.sft=400",
    "data.train=100",
    "data.heldout=24",
    "compute.ranks=1",
    "sft.steps=4",
    "sft.optimizer.warmup_steps=1",
    "rl.steps=4",
    "rl.prompts_per_step=2",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "evaluation.benchmarks.0.max_new_tokens=8",
    "evaluation.benchmarks.1.max_new_tokens=8",
    "cluster.training.cpu=1",
    "cluster.training.memory_gib=4",
    "cluster.model.cpu=1",
    "cluster.model.memory_gib=3",
    "cluster.light.cpu=0.5",
    "cluster.light.memory_gib=2",
)
"""On top of the profile `local`; two cores hold it."""
LONG_STEPS = 400
LONG = (f"rl.steps={LONG_STEPS}", "rl.checkpoint_every=20")
"""A policy that trains for some minutes, so that it can be disturbed."""
PATIENCE_SECONDS = 15 * 60
Found = TypeVar("Found")


@dataclass
class Cluster:
    """A cluster, and the runs that were started on it."""

    api: KfpApi
    image: str
    settings: tuple[str, ...]
    """`key=value`, for what the profile must say on this cluster."""
    run_ids: list[str] = field(default_factory=list)

    def submit(self, *overrides: str) -> str:
        """The id of a new tiny run."""
        config = load_profile("local", (*TINY, *self.settings, *overrides))
        name = f"{NAME}-{time.time_ns()}"
        self.run_ids.append(cluster_run.submit(self.api, config, name, self.image, NAME))
        return self.run_ids[-1]

    def follow(self, run_id: str) -> ClusterRun:
        """Wait for its end. Raises: GiftError: that is no good one."""
        return follow(self.api, None, run_id, print)

    def get(self, run_id: str) -> Any:
        return self.api.repeat(self.api.runs.run_service_get_run, run_id)

    def wait_for_stage(self, run_id: str, stage: str) -> None:
        """Until it runs."""
        names = read_cluster_run(self.api, self.get(run_id)).stages

        def runs() -> bool:
            run = self.get(run_id)
            assert run.state not in ENDED, f"run {run_id} ended before {stage}: {run.state}"
            tasks = (run.run_details and run.run_details.task_details) or []
            return any(names.get(task.display_name) == stage and task.state == "RUNNING" for task in tasks)

        wait_for(f"{stage} of run {run_id}", runs)

    def clean_up(self) -> None:
        """End what still runs, and delete all runs from KFP; what can't be is printed."""
        for run_id in self.run_ids:
            try:
                if self.get(run_id).state not in ENDED:
                    cluster_run.terminate(self.api, run_id)
                    wait_for(f"the end of run {run_id}", lambda run_id=run_id: self.get(run_id).state in ENDED)
                self.api.repeat(self.api.runs.run_service_delete_run, run_id)
            except NotFoundError:
                continue
            except (GiftError, TimeoutError) as error:
                print(f"run {run_id} is left: {error}")


def wait_for(what: str, look: Callable[[], Found | None], pause: float = 2.0) -> Found:
    """What `look` finds, as soon as it is true. Raises: TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(pause)
    raise TimeoutError(f"waited {PATIENCE_SECONDS} seconds for {what}")


def pods_of_stage(kubernetes: KubernetesApi, namespace: str, run_id: str, stage: str) -> list[str]:
    """Paths of the stage's pods in the Kubernetes API, the newest last."""
    listing = f"/api/v1/namespaces/{namespace}/pods"
    selector = f"pipeline/runid={run_id},app.kubernetes.io/component={stage}"
    pods = sorted(kubernetes.items(listing, labelSelector=selector), key=_created)
    return [f"{listing}/{pod['metadata']['name']}" for pod in pods]


def _created(pod: Json) -> str:
    return str(pod["metadata"]["creationTimestamp"])


def delete(kubernetes: KubernetesApi, path: str) -> None:
    """Delete an object; that it is gone already is fine."""
    try:
        kubernetes.connection.call_api(path, "DELETE", auth_settings=["BearerToken"], response_type="object")
    except ApiException as error:
        if error.status != 404:
            raise
