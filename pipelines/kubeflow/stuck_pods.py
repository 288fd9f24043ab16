"""The pods of a run that do not start, as Kubernetes tells of them: containers that wait, conditions, events.

Those of a TrainJob are looked at, too, which KFP knows nothing of. Left out: pods that run or have ended.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.kubeflow.cluster_run import ClusterRun
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi
from pipelines.kubeflow.workflow import read_step

RUN_LABEL = "pipeline/runid"
"""KFP's, of every pod of a run."""
NODE_NAME = "workflows.argoproj.io/node-name"
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{namespace}/trainjobs"
RUN_OF_TRAIN_JOB = "gift.kubeflow.org/run"
JOB_OF_POD = "jobset.sigs.k8s.io/jobset-name"
STARTING = ("ContainerCreating", "PodInitializing")
"""Reasons to wait that pass by themselves."""
NOT_MADE = "FailedCreate: "
STUCK_EVENTS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreate")
"""Reasons of events of a pod, or of the Job that would make it, that nothing in the pod's status repeats."""


def pods_of_run(kubernetes: KubernetesApi, namespace: str, run_id: str) -> list[Json]:
    """The pods that KFP has made.

    Raises:
        GiftError: Kubernetes does not answer, or refuses.
    """
    return kubernetes.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{RUN_LABEL}={run_id}")


def stuck_pods(
    kubernetes: KubernetesApi, namespace: str, pods: list[Json], run: ClusterRun
) -> Iterator[tuple[str, str]]:
    """(step, `reason: message`) of everything that keeps one of `pods`, or of a TrainJob's, from starting.

    Raises:
        GiftError: Kubernetes does not answer, or refuses.
    """
    jobs = _train_jobs(kubernetes, namespace, run) if run.config.compute.nodes > 1 else []
    nodes = [pod for job in jobs for pod in _pods_of_job(kubernetes, namespace, job)]
    waiting = {pod["metadata"]["name"]: pod for pod in (*pods, *nodes) if pod["status"].get("phase") == "Pending"}
    for pod in waiting.values():
        yield from ((_step(pod, run), reason) for reason in _waiting_reasons(pod))
    # After what the pods say themselves: fewer accounts may read events.
    for name, reason in _stuck_events(kubernetes, namespace) if waiting or jobs else ():
        if name in waiting:
            yield _step(waiting[name], run), reason
        elif reason.startswith(NOT_MADE) and any(name.startswith(job) for job in jobs):
            yield name, reason


def _train_jobs(kubernetes: KubernetesApi, namespace: str, run: ClusterRun) -> list[str]:
    path = TRAIN_JOBS.format(namespace=namespace)
    found = kubernetes.items(path, labelSelector=f"{RUN_OF_TRAIN_JOB}={run.run_id}")
    return [job["metadata"]["name"] for job in found]


def _pods_of_job(kubernetes: KubernetesApi, namespace: str, job: str) -> list[Json]:
    return kubernetes.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{JOB_OF_POD}={job}")


def _step(pod: Json, run: ClusterRun) -> str:
    node_name = pod["metadata"].get("annotations", {}).get(NODE_NAME)
    return str(pod["metadata"]["name"]) if node_name is None else read_step(node_name, run.stages)[0]


def _waiting_reasons(pod: Json) -> Iterator[str]:
    status = pod["status"]
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason", STARTING[0]) not in STARTING:
            yield _one_line(waiting)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _one_line(condition)


def _stuck_events(kubernetes: KubernetesApi, namespace: str) -> Iterator[tuple[str, str]]:
    """Each with the name of the object that it is about."""
    for event in kubernetes.items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning"):
        if event.get("reason") in STUCK_EVENTS:
            yield event["involvedObject"].get("name", ""), _one_line(event)


def _one_line(said: Mapping[str, Any]) -> str:
    """Of anything in the API with a reason and a message."""
    return " ".join(f"{said.get('reason', '')}: {said.get('message', '')}".strip(": ").split())
