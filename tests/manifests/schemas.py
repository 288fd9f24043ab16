"""What is wrong with an object by its own schema: Kubernetes', Kubeflow Trainer's or Kueue's. Unknown fields count."""

import copy
from typing import Any

import kubernetes_validate
from kubeflow_trainer_api import models as trainer
from kueue_objects import ClusterQueue, LocalQueue, ResourceFlavor
from pydantic import BaseModel, ValidationError
from rendered import Object

KUBERNETES = kubernetes_validate.latest_version()
KUEUE: dict[str, type[BaseModel]] = {
    "ClusterQueue": ClusterQueue,
    "LocalQueue": LocalQueue,
    "ResourceFlavor": ResourceFlavor,
}


def schema_errors(item: Object) -> list[str]:
    """One line per mistake; none for an object that the API server would take."""
    group = item["apiVersion"].partition("/")[0]
    try:
        if group == "kueue.x-k8s.io":
            KUEUE[item["kind"]].model_validate(item)
        elif group == "trainer.kubeflow.org":
            _validate_training_runtime(item)
        else:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, ValidationError, ValueError) as error:
        return [f"{item['kind']} {item['metadata']['name']}: {error}"]
    return []


def _validate_training_runtime(item: Object) -> None:
    """Trainer's models leave out fields that they do not know; Kubernetes' schema knows pods better than they do."""
    understood = trainer.TrainerV1alpha1ClusterTrainingRuntime.from_dict(copy.deepcopy(item))
    assert understood is not None
    lost = _differences(item, understood.to_dict())
    if lost:
        raise ValueError(f"fields that Kubeflow Trainer does not know: {', '.join(lost)}")
    for job in item["spec"]["template"]["spec"]["replicatedJobs"]:
        kubernetes_job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job["name"], **job["template"].get("metadata", {})},
            "spec": job["template"]["spec"],
        }
        kubernetes_validate.validate(kubernetes_job, KUBERNETES, strict=True)


def _differences(given: Any, understood: Any, path: str = "") -> list[str]:
    if isinstance(given, dict) and isinstance(understood, dict):
        keys = sorted(set(given) | set(understood))
        return [
            line
            for key in keys
            for line in _differences(given.get(key), understood.get(key), f"{path}.{key}".strip("."))
        ]
    if isinstance(given, list) and isinstance(understood, list) and len(given) == len(understood):
        return [
            line
            for index, (left, right) in enumerate(zip(given, understood, strict=True))
            for line in _differences(left, right, f"{path}[{index}]")
        ]
    return [] if given == understood else [path]
