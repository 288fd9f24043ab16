"""KServe's InferenceService as this project writes it: the fields of its v1beta1 CRD (0.20) that occur here, no others.

KServe's models on the package index bring its whole server along. What `gift serve` writes was also checked against the
CRD itself, by hand. What the CRD takes from Kubernetes (resources, tolerations, arguments) is checked as a pod's.
"""

from typing import Annotated, Any, Literal

import kubernetes_validate
from pydantic import BaseModel, ConfigDict, Field

KUBERNETES = kubernetes_validate.latest_version()
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=53)]
"""What KServe's own validation asks of a service's name."""
LabelText = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(_Strict):
    name: Name
    labels: dict[str, LabelText]
    annotations: dict[str, str]


class ModelFormat(_Strict):
    name: Literal["huggingface"]


class Model(_Strict):
    modelFormat: ModelFormat  # noqa: N815 - Kubernetes' names
    runtime: str
    storageUri: Annotated[str, Field(pattern=r"^s3://[^/]+/.+[^/]$")]  # noqa: N815
    args: list[str]
    resources: dict[str, Any]


class Predictor(_Strict):
    serviceAccountName: Name  # noqa: N815
    minReplicas: Annotated[int, Field(ge=0)]  # noqa: N815
    maxReplicas: Annotated[int, Field(ge=1)]  # noqa: N815
    nodeSelector: dict[str, str] = {}  # noqa: N815
    tolerations: list[dict[str, Any]] = []
    model: Model


class Spec(_Strict):
    predictor: Predictor


class InferenceService(_Strict):
    apiVersion: Literal["serving.kserve.io/v1beta1"]  # noqa: N815
    kind: Literal["InferenceService"]
    metadata: Metadata
    spec: Spec


def validate_inference_service(item: dict[str, Any]) -> InferenceService:
    """Raises: ValueError: the API server, or KServe, would not take it."""
    service = InferenceService.model_validate(item)
    predictor = service.spec.predictor
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": service.metadata.name},
        "spec": {
            "serviceAccountName": predictor.serviceAccountName,
            "nodeSelector": predictor.nodeSelector,
            "tolerations": predictor.tolerations,
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "any",
                    "args": predictor.model.args,
                    "resources": predictor.model.resources,
                }
            ],
        },
    }
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    return service
