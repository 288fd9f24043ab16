"""What a profile asks of a cluster, read from its compiled pipeline and its TrainJobs: the same that will be submitted.

Left out: KFP's own containers beside each stage (`namespace` adds what the namespace gives them).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kubernetes.utils import parse_quantity

from gift.config import RunConfig
from gift.config.surroundings import TRAINING_STAGES
from gift.launch.train_job_manifest import train_job
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.lint.ir import CompiledPipeline, Task, parse_pipeline
from pipelines.kubeflow.side_by_side import side_by_side

DISK = "ephemeral-storage"
Amounts = dict[str, Decimal]
"""Resource (`cpu`, `memory`, `nvidia.com/gpu`, `ephemeral-storage`) → amount in cores, bytes or pieces."""


@dataclass(frozen=True)
class PodDemand:
    """A stage's pod, or the pods of a training on several nodes."""

    stage: str
    count: int
    requests: Amounts
    """Which equal the limits."""
    disk: Decimal
    """Bytes of the node's disk that it may fill; KFP's tasks can't request it."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.stage if self.count == 1 else f"{self.stage} on {self.count} nodes"


@dataclass(frozen=True)
class Demands:
    """Of a whole run."""

    pods: tuple[PodDemand, ...]
    together: tuple[tuple[str, ...], ...]
    """Stages that may run at the same time, trainings first."""
    secrets: Mapping[str, frozenset[str]]
    """Secret → the keys that it must have."""
    claims: frozenset[str]
    """PersistentVolumeClaims that must be there."""
    storage_classes: frozenset[str]


def demands_of(config: RunConfig, image: str) -> Demands:
    """Raises: GiftError: the pipeline can't be compiled, for example because the image has no digest."""
    pipeline = parse_pipeline(compile_pipeline(config, image))
    tasks = list(pipeline.containers)
    jobs = TRAINING_STAGES if config.compute.nodes > 1 else ()
    pods = [_pod_of_task(task) for task in tasks] + [_pods_of_job(config, image, stage) for stage in jobs]
    secrets: dict[str, frozenset[str]] = defaultdict(frozenset)
    for name, keys in (pair for task in tasks for pair in _secrets(task)):
        secrets[name] |= keys
    own_class = config.cluster.work_storage_class
    return Demands(
        pods=tuple(pods),
        together=_together(pipeline),
        secrets=dict(secrets),
        claims=frozenset({str(config.cluster.vllm_weights_claim)} if config.samples_on_server else ()),
        storage_classes=frozenset({own_class} if own_class else ()),
    )


def _together(pipeline: CompiledPipeline) -> tuple[tuple[str, ...], ...]:
    groups = [[_stage(task) for task in group] for group in side_by_side(pipeline)]
    groups = [sorted(group, key=lambda stage: stage not in TRAINING_STAGES) for group in groups if len(group) > 1]
    return tuple(tuple(group) for group in sorted(groups, key=lambda group: group[0] not in TRAINING_STAGES))


def _pod_of_task(task: Task) -> PodDemand:
    resources = task.container["resources"]
    requests = {
        "cpu": parse_quantity(resources["resourceCpuRequest"]),
        "memory": parse_quantity(resources["resourceMemoryRequest"]),
    }
    if gpu := resources.get("accelerator"):
        requests[gpu["resourceType"]] = parse_quantity(gpu["resourceCount"])
    folders = task.pod.get("emptyDirMounts", [])
    return PodDemand(
        stage=_stage(task),
        count=1,
        requests=requests,
        disk=sum((parse_quantity(f["sizeLimit"]) for f in folders if f.get("medium") != "Memory"), Decimal(0)),
        node_selector=task.pod.get("nodeSelector", {}).get("labels", {}),
        tolerations=tuple(task.pod.get("tolerations", [])),
    )


def _stage(task: Task) -> str:
    return str(task.pod["podMetadata"]["labels"]["app.kubernetes.io/component"])


def _pods_of_job(config: RunConfig, image: str, stage: str) -> PodDemand:
    job = train_job("doctor", "doctor", image, config.storage.uri, config, stage)
    trainer = job["spec"]["trainer"]
    requests = {name: parse_quantity(amount) for name, amount in trainer["resourcesPerNode"]["requests"].items()}
    cluster = config.cluster
    return PodDemand(
        stage=stage,
        count=trainer["numNodes"],
        requests=requests,
        disk=requests[DISK],
        node_selector=cluster.node_selector if config.compute.gpu else {},
        tolerations=tuple(t.model_dump(exclude_none=True) for t in cluster.tolerations) if config.compute.gpu else (),
    )


def _secrets(task: Task) -> Iterator[tuple[str, frozenset[str]]]:
    for secret in task.pod.get("secretAsEnv", []):
        keys = frozenset() if secret.get("optional") else frozenset(key["secretKey"] for key in secret["keyToEnv"])
        yield secret["secretName"], keys
