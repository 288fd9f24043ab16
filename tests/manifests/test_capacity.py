"""What the overlays allow is enough for the profiles that they are for."""

from decimal import Decimal

import pytest
from kubernetes.utils import parse_quantity
from rendered import Object, of_kind, pod_templates, render, the

from gift.config import RunConfig, load_profile, profile_names
from gift.launch.train_job_manifest import train_job

SEVERAL_NODES = [name for name in profile_names() if load_profile(name).compute.nodes > 1]
ONE_NODE = [name for name in profile_names() if load_profile(name).compute.nodes == 1]
SERVERS = {"Deployment mlflow", "StatefulSet postgres", "StatefulSet seaweedfs", "Job create-bucket"}


def of_all_nodes(config: RunConfig) -> dict[str, Decimal]:
    trainer = train_job("gift-x", "run", "image", "s3://gift/job", config, "train-policy")["spec"]["trainer"]
    return {
        name: trainer["numNodes"] * parse_quantity(amount)
        for name, amount in trainer["resourcesPerNode"]["requests"].items()
    }


def of_servers(objects: list[Object], resource: str) -> Decimal:
    containers = [container for pod in pod_templates(objects) if pod.owner in SERVERS for container in pod.containers]
    requests = [container["resources"]["requests"].get(resource, 0) for container in containers]
    return sum(map(parse_quantity, requests), Decimal(0))


def quota(objects: list[Object]) -> dict[str, Decimal]:
    hard = the(objects, "ResourceQuota", "gift")["spec"]["hard"]
    return {name.removeprefix("requests."): parse_quantity(amount) for name, amount in hard.items()}


@pytest.mark.parametrize("profile", SEVERAL_NODES)
def test_the_nodes_of_a_training_fit_into_queue_and_quota_beside_the_stage_and_the_servers(profile: str) -> None:
    objects, config = render("multi-node"), load_profile(profile)
    [group] = the(objects, "ClusterQueue", "gift")["spec"]["resourceGroups"]
    [flavor] = group["flavors"]
    queue = {resource["name"]: parse_quantity(resource["nominalQuota"]) for resource in flavor["resources"]}
    hard, light = quota(objects), config.cluster.light
    stage = {"cpu": Decimal(str(light.cpu)), "memory": parse_quantity(f"{light.memory_gib:g}Gi")}
    for resource, amount in of_all_nodes(config).items():
        assert amount <= queue[resource], f"the queue has too little {resource}"
        beside = stage.get(resource, Decimal(0)) + of_servers(objects, resource)
        assert amount + beside <= hard.get(resource, Decimal("inf")), f"the quota has too little {resource}"


@pytest.mark.parametrize("profile", ONE_NODE)
def test_the_largest_stage_fits_into_the_quota_of_one_machine_beside_the_servers(profile: str) -> None:
    objects, config = render("single-node-gpu"), load_profile(profile)
    hard = quota(objects)
    for resource, amount in of_all_nodes(config).items():
        beside = of_servers(objects, resource)
        assert amount + beside <= hard.get(resource, Decimal("inf")), f"the quota has too little {resource}"


@pytest.mark.parametrize("profile", SEVERAL_NODES)
def test_the_quota_has_a_volume_for_each_pod_that_holds_a_model_beside_the_disks_of_the_servers(profile: str) -> None:
    """Volumes of `cluster.work_storage_class` are claims, and a quota that is used up keeps their pods waiting."""
    objects = render("multi-node")
    disks = sum(len(server["spec"].get("volumeClaimTemplates", ())) for server in of_kind(objects, "StatefulSet"))
    assert load_profile(profile).compute.nodes + disks + 1 <= quota(objects)["persistentvolumeclaims"]


def test_the_queue_covers_all_that_the_namespace_adds_to_a_pod() -> None:
    """Kueue counts the defaults of a LimitRange, and never admits what asks for a resource that its queue lacks."""
    objects = render("multi-node")
    [limit] = the(objects, "LimitRange", "container-defaults")["spec"]["limits"]
    [group] = the(objects, "ClusterQueue", "gift")["spec"]["resourceGroups"]
    assert set(limit["defaultRequest"]) | set(limit["default"]) <= set(group["coveredResources"])
