"""The rendered overlays, and how the tests of the manifests walk through their objects."""

import copy
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
NAMESPACE = "gift"
CLUSTER_WIDE = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrainingRuntime",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ResourceFlavor",
    "ClusterQueue",
}

Object = dict[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """A pod that an object of the overlay starts."""

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def kustomize(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder, with the kubectl of this environment before that of the machine."""
    search_path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    kubectl = shutil.which("kubectl", path=search_path)
    assert kubectl is not None, "kubectl is not installed"
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns of what it will no longer understand"
    return done.stdout


@cache
def _objects(overlay: str) -> list[Object]:
    return list(yaml.safe_load_all(kustomize(MANIFESTS / "overlays" / overlay)))


def render(overlay: str) -> list[Object]:
    """The objects of an overlay, new ones at every call, so that a test may break them."""
    return copy.deepcopy(_objects(overlay))


def title(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def the(objects: Iterable[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name; a generated name's digest is left out."""
    [found] = [
        item
        for item in of_kind(objects, kind)
        if item["metadata"]["name"] == name or item["metadata"]["name"].rpartition("-")[0] == name
    ]
    return found


def pod_templates(objects: Iterable[Object]) -> Iterator[PodTemplate]:
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield _template(title(item), item["spec"]["template"])
        elif item["kind"] == "ClusterTrainingRuntime":
            for job in item["spec"]["template"]["spec"]["replicatedJobs"]:
                yield _template(f"{title(item)}/{job['name']}", job["template"]["spec"]["template"])


def _template(owner: str, template: Object) -> PodTemplate:
    return PodTemplate(owner, template["metadata"]["labels"], template["spec"])
