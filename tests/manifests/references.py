"""What the objects of an overlay name: accounts, Secrets, ConfigMaps, claims, roles, Services and queues."""

from collections.abc import Iterator

from rendered import Object, pod_templates

Reference = tuple[str, str]
"""(kind, name)."""
SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
KEYS = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}


def missing(objects: list[Object], outside: set[Reference]) -> set[Reference]:
    """What is named, and is neither in the overlay nor known to be made outside of it."""
    there = {(item["kind"], item["metadata"]["name"]) for item in objects}
    return {reference for item in objects for reference in _references(item)} - there - outside


def _references(item: Object) -> Iterator[Reference]:
    for subject in item.get("subjects", ()):
        yield subject["kind"], subject["name"]
    if "roleRef" in item:
        yield item["roleRef"]["kind"], item["roleRef"]["name"]
    for secret in item.get("imagePullSecrets", ()):
        yield "Secret", secret["name"]
    if item["kind"] == "StatefulSet":
        yield "Service", item["spec"]["serviceName"]
    if item["kind"] == "LocalQueue":
        yield "ClusterQueue", item["spec"]["clusterQueue"]
    if item["kind"] == "ClusterQueue":
        for group in item["spec"]["resourceGroups"]:
            yield from (("ResourceFlavor", flavor["name"]) for flavor in group["flavors"])
    for pod in pod_templates([item]):
        yield "ServiceAccount", pod.spec["serviceAccountName"]
        yield from _references_of_pod(pod.spec, pod.containers)


def _references_of_pod(spec: Object, containers: list[Object]) -> Iterator[Reference]:
    for volume in spec.get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in containers:
        for source in container.get("envFrom", ()):
            yield from ((kind, source[field]["name"]) for field, kind in SOURCES.items() if field in source)
        for entry in container.get("env", ()):
            yield from (
                (kind, entry["valueFrom"][field]["name"])
                for field, kind in KEYS.items()
                if field in entry.get("valueFrom", {})
            )
