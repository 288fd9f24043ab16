"""The pods of a run as Argo keeps them in its Workflow: every attempt at every stage, and how it ended.

KFP's API server keeps a copy of the Workflow, also when Kubernetes has removed it, and hands it out through its older
API only (v1beta1). It has the logs, too: of a pod that is there, or as Argo has archived them.

Left out: asking twice, nodes that are no pods, and workflows so large that Argo compresses their nodes (above 1 MB).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gift.errors import GiftError
from gift.progress import without_time
from pipelines.kubeflow.kfp_api import KfpApi

NODE_NAME = re.compile(r"\.(?P<task>[^.]+)\.executor(\((?P<attempt>\d+)\))?$")
"""`gift-x7k2p.root.exit-handler-1.train-sft.executor(1)`: the second attempt at a stage; a driver's has no executor."""
FAULTY = ("Failed", "Error")
"""Argo's words for a container that failed, and for a pod that was deleted, or never made."""
LOG_PATHS = (
    "/apis/v1alpha1/runs/{run}/nodes/{pod}/log",
    "/apis/v1beta1/runs/{run}/nodes/{pod}/log",
    "/k8s/pod/logs?podname={pod}&runid={run}&podnamespace={namespace}",
)
"""KFP's API server has the first (2.17's source) or the second, and the server of its pages, which answers every other
path with a page, the third."""
ERROR = "error: "
"""How the last line of a stage that failed begins."""


@dataclass(frozen=True)
class StepPod:
    """One pod of a run, there or not."""

    step: str
    """A stage (`train-sft`), or one of KFP's drivers (`train-sft-driver`)."""
    attempt: int
    """From 0."""
    pod: str
    phase: str
    """Argo's: Pending, Running, Succeeded, Failed, Error, Omitted or Skipped."""
    message: str
    """Why it waits or has failed: `OOMKilled (exit code 137)`, `pod deleted`, `Unschedulable: 0/3 nodes …`."""


@dataclass(frozen=True)
class Workflow:
    """The pods of a run in the order in which they were made."""

    namespace: str
    pods: tuple[StepPod, ...]


def read_workflow(api: KfpApi, run_id: str, stages: Mapping[str, str]) -> Workflow | None:
    """What KFP knows of a run's pods; None where it has no Workflow, or does not give it away.

    Args:
        stages: names of stages by the names of their tasks.
    """
    try:
        run = json.loads(replace(api, pauses=()).read(f"/apis/v1beta1/runs/{run_id}"))
        workflow = json.loads(run["pipeline_runtime"]["workflow_manifest"])
        name, namespace = workflow["metadata"]["name"], workflow["metadata"]["namespace"]
    except (GiftError, ValueError, KeyError, TypeError):
        return None
    nodes = [node for node in (workflow.get("status", {}).get("nodes") or {}).values() if node.get("type") == "Pod"]
    nodes.sort(key=lambda node: node.get("startedAt") or "")
    return Workflow(namespace, tuple(_step_pod(name, node, stages) for node in nodes))


def read_step(node_name: str, stages: Mapping[str, str]) -> tuple[str, int]:
    """The step that a node of the Workflow belongs to, and which attempt it is."""
    match = NODE_NAME.search(node_name)
    if match is None:
        return node_name.rpartition(".")[2], 0
    return stages.get(match["task"], match["task"]), int(match["attempt"] or 0)


def read_stage_error(api: KfpApi, run_id: str, namespace: str, pod: str) -> str | None:
    """The line that a stage failed with, from its pod's log as KFP has it; None where there is none."""
    for path in LOG_PATHS:
        try:
            log = replace(api, pauses=()).read(path.format(run=run_id, pod=pod, namespace=namespace))
        except GiftError:
            continue
        if error := stage_error_in(log):
            return error
    return None


def stage_error_in(log: str) -> str | None:
    """The last line of a stage that failed, without its time; what KFP's launcher says after it does not count."""
    errors = [line for line in map(without_time, log.splitlines()) if line.startswith(ERROR)]
    return errors[-1] if errors else None


def _step_pod(workflow: str, node: Mapping[str, Any], stages: Mapping[str, str]) -> StepPod:
    step, attempt = read_step(node["name"], stages)
    # As Argo names pods (workflow/util/pod_name.go): the node's id with the template in it.
    pod = f"{workflow}-{node['templateName']}-{node['id'].rpartition('-')[2]}" if "templateName" in node else node["id"]
    return StepPod(step, attempt, pod, node.get("phase", ""), " ".join(node.get("message", "").split()))
