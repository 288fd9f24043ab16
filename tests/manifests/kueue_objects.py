"""Kueue's objects as these manifests use them: the fields of its v1beta2 CRDs (0.19.2) that occur here, and no others.

Kueue publishes no models on a package index. The manifests were also checked against the CRDs themselves, by hand.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(_Strict):
    name: Name
    namespace: Name | None = None
    labels: dict[str, str] = {}


class LabelSelector(_Strict):
    matchLabels: dict[str, str]  # noqa: N815 - Kubernetes' name


class ResourceQuota(_Strict):
    name: str
    nominalQuota: Quantity  # noqa: N815


class FlavorQuotas(_Strict):
    name: Name
    resources: list[ResourceQuota] = Field(min_length=1)


class ResourceGroup(_Strict):
    coveredResources: list[str] = Field(min_length=1)  # noqa: N815
    flavors: list[FlavorQuotas] = Field(min_length=1)


class ClusterQueueSpec(_Strict):
    namespaceSelector: LabelSelector  # noqa: N815
    queueingStrategy: Literal["StrictFIFO", "BestEffortFIFO"]  # noqa: N815
    resourceGroups: list[ResourceGroup] = Field(min_length=1, max_length=16)  # noqa: N815


class LocalQueueSpec(_Strict):
    clusterQueue: Name  # noqa: N815


class ResourceFlavorSpec(_Strict):
    nodeLabels: dict[str, str] = {}  # noqa: N815


class _Object(_Strict):
    apiVersion: Literal["kueue.x-k8s.io/v1beta2"]  # noqa: N815
    metadata: Metadata


class ClusterQueue(_Object):
    kind: Literal["ClusterQueue"]
    spec: ClusterQueueSpec


class LocalQueue(_Object):
    kind: Literal["LocalQueue"]
    spec: LocalQueueSpec


class ResourceFlavor(_Object):
    kind: Literal["ResourceFlavor"]
    spec: ResourceFlavorSpec
