"""Nodes with GPUs, and trainings on several of them."""

from typing import Any

import pytest
from cluster_runs import Gift
from healthy_cluster import GPU, QUOTA, SEVERAL, healthy, line
from kubernetes_objects import ObjectServer

pytestmark = pytest.mark.usefixtures("alone")

GPU_NODE = {"cpu": "128", "memory": "1Ti", "ephemeral-storage": "2Ti", "nvidia.com/gpu": "8"}


def put_gpu_node(cluster: ObjectServer, name: str, product: str, **spec: Any) -> None:
    status = {"allocatable": GPU_NODE, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"nvidia.com/gpu.product": product}
    cluster.put("/api/v1/nodes", name, metadata={"labels": labels}, spec=spec, status=status)


def test_gpus_labels_and_taints_decide_where_a_training_fits(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    kubernetes.objects.pop(QUOTA)
    put_gpu_node(kubernetes, "old", "NVIDIA-A100-SXM4-80GB")
    status, output = cluster_gift(*GPU)
    assert status == 1
    assert "train-policy (96 cpu, 320 GiB memory, 8 nvidia.com/gpu, " in output
    assert "none of 2 nodes can hold one: 2 without the label nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3" in output
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    put_gpu_node(kubernetes, "new", "NVIDIA-H100-80GB-HBM3", taints=[taint])
    status, output = cluster_gift(*GPU)
    assert status == 0, output
    assert "the largest pod, train-" in line(output, "nodes", "ok")


def test_an_evaluation_beside_the_training_wants_a_gpu_of_its_own(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    kubernetes.objects.pop(QUOTA)
    put_gpu_node(kubernetes, "eight", "NVIDIA-H100-80GB-HBM3")
    beside = (*GPU, "--set", "cluster.evaluate_beside_training=true")
    status, output = cluster_gift(*beside)
    assert status == 0, output
    assert "train-policy beside evaluate-base: no room for both" in line(output, "nodes", "note")
    put_gpu_node(kubernetes, "eight-more", "NVIDIA-H100-80GB-HBM3")
    assert "no room for both" not in cluster_gift(*beside)[1]


def test_several_nodes_want_trainer_a_queue_and_enough_nodes(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    kubernetes.objects.pop(QUOTA)
    queue = ("--set", "cluster.queue=gift-training")
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 1
    assert "is not installed, and compute.nodes is 4; install 2.3 with JobSet" in line(output, "Trainer", "fails")
    assert "is not installed; install 0.17 or later" in line(output, "Kueue", "fails")
    kubernetes.objects["/apis/trainer.kubeflow.org/v1alpha1"] = {"kind": "APIResourceList"}
    kubernetes.objects["/apis/kueue.x-k8s.io/v1beta2"] = {"kind": "APIResourceList"}
    for number in range(3):
        put_gpu_node(kubernetes, f"gpu-{number}", "NVIDIA-B200")
    for node in kubernetes.objects.values():
        node.get("status", {}).get("allocatable", {}).update({"memory": "2Ti"})
    status, output = cluster_gift(*SEVERAL, *queue)
    assert (
        "train-policy on 4 nodes (96 cpu, 1280 GiB memory, 260 GiB ephemeral-storage, 8 nvidia.com/gpu each)" in output
    )
    assert "each): the nodes have room for 3; change `cluster`" in output
    assert "lacks the ClusterTrainingRuntime gift-deepspeed" in line(output, "Trainer", "fails")
    assert "has no LocalQueue gift-training in namespace kubeflow" in line(output, "Kueue", "fails")
    put_gpu_node(kubernetes, "gpu-3", "NVIDIA-B200")
    kubernetes.objects["/api/v1/nodes/gpu-3"]["status"]["allocatable"] = GPU_NODE | {"memory": "2Ti"}
    kubernetes.put("/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes", "gift-deepspeed")
    kueue = "/apis/kueue.x-k8s.io/v1beta2"
    kubernetes.put(f"{kueue}/namespaces/kubeflow/localqueues", "gift-training", spec={"clusterQueue": "gift"})
    resources = [{"name": name, "nominalQuota": "31"} for name in ("nvidia.com/gpu",)]
    resources += [{"name": name, "nominalQuota": "100Ti"} for name in ("cpu", "memory", "ephemeral-storage")]
    groups = [{"coveredResources": [], "flavors": [{"name": "gift-gpu", "resources": resources}]}]
    kubernetes.put(f"{kueue}/clusterqueues", "gift", spec={"resourceGroups": groups})
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 1
    assert "train-policy on 4 nodes asks for 32 nvidia.com/gpu, ClusterQueue gift has 31: it would wait" in output
    resources[0]["nominalQuota"] = "32"
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 0, output
    assert line(output, "Kueue", "ok")


def test_a_profile_that_asks_for_more_than_the_quota_on_all_its_nodes_is_named(
    cluster_gift: Gift, kubernetes: ObjectServer
) -> None:
    healthy(kubernetes)
    kubernetes.objects[QUOTA]["spec"]["hard"] = {"requests.nvidia.com/gpu": "24", "requests.cpu": "1k", "pods": "60"}
    _, output = cluster_gift(*SEVERAL)
    assert "train-policy on 4 nodes asks for 32 nvidia.com/gpu, quota gift allows 24; raise it" in line(
        output, "quota", "fails"
    )
