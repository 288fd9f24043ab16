"""What the follower says about pods: why one does not start, why a stage starts again, and how one failed."""

import re
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import RUN, TRAINED, Gift
from kfp_handlers import pod_name, workflow_node
from kfp_server import KfpServer
from kubernetes_objects import ObjectServer

from pipelines.kubeflow import follow

PODS = "/api/v1/namespaces/kubeflow/pods"
EVENTS = "/api/v1/namespaces/kubeflow/events"
NO_NODE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
RUNNING = [("RUNNING", {"train-sft": "RUNNING"})]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute without progress is over at once."""
    monkeypatch.setattr(follow, "QUIET_SECONDS", 0.0)


def waiting(reason: str, message: str) -> dict[str, Any]:
    """A container's status, as the kubelet writes it."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def put_pod(server: KfpServer, kubernetes: ObjectServer, task: str, **status: Any) -> None:
    """A pod of the run that is submitted first, as Argo makes it for KFP."""
    node = workflow_node(task, "Pending")
    labels = {"workflows.argoproj.io/workflow": "gift-post-training-x7k2p", "pipeline/runid": ""}
    annotations = {"workflows.argoproj.io/node-name": node["name"]}
    metadata = {"labels": labels, "annotations": annotations, "creationTimestamp": "2026-01-01T00:00:00Z"}
    kubernetes.put(PODS, pod_name(node), metadata=metadata, status={"phase": "Pending"} | status)
    server.workflows = [[node]]
    server.on_run = lambda run_id: labels.update({"pipeline/runid": run_id})


SCHEDULING = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
NO_CLAIM = SCHEDULING | {"message": "pod has unbound immediate PersistentVolumeClaims."}
PULL = waiting("ImagePullBackOff", 'Back-off pulling image "registry.example.org/gift@sha256:bb"')
NO_SECRET = waiting("CreateContainerConfigError", 'secret "gift-s3" not found')
NO_KEY = waiting("CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret kubeflow/gift-s3")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ({"conditions": [SCHEDULING]}, f"no node has room for it (Unschedulable: {NO_NODE}); compare `cluster` in "),
        ({"conditions": [NO_CLAIM]}, "a volume is not there (Unschedulable: pod has unbound immediate Persist"),
        ({"containerStatuses": [PULL]}, "its image can't be pulled (ImagePullBackOff: Back-off pulling image "),
        ({"initContainerStatuses": [PULL]}, "its image can't be pulled (ImagePullBackOff: Back-off pulling image "),
        ({"containerStatuses": [NO_SECRET]}, "a Secret or one of its keys is missing (CreateContainerConfigError: sec"),
        ({"containerStatuses": [NO_KEY]}, "(CreateContainerConfigError: couldn't find key AWS_ACCESS_KEY_ID in Secret"),
        ({"containerStatuses": [waiting("CreateContainerError", "no such runtime")]}, "Kubernetes refuses it (Create"),
    ],
)
def test_why_a_pod_does_not_start_is_one_line_once(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer, status: dict[str, Any], line: str
) -> None:
    put_pod(server, kubernetes, "train-sft", **status)
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 0, output
    assert output.count("\n  train-sft does not start: ") == 1
    assert line in output


def test_who_may_not_read_events_is_told_what_the_pods_say(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer
) -> None:
    kubernetes.forbidden.add(EVENTS)
    put_pod(server, kubernetes, "train-sft", conditions=[SCHEDULING])
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    _, output = cluster_gift(*RUN)
    assert output.count("train-sft does not start: no node has room for it") == 1
    assert output.count(f"refuses GET {EVENTS}") == 1


def test_a_pod_that_starts_in_its_time_is_nothing_to_tell(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer
) -> None:
    put_pod(server, kubernetes, "train-sft", containerStatuses=[waiting("PodInitializing", "")])
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    exit_status, output = cluster_gift(*RUN)
    assert (exit_status, "does not start" in output) == (0, False)
    assert any(request.startswith(f"GET {PODS}?") for request in kubernetes.requests)


def test_a_volume_that_can_not_be_mounted_is_told_from_the_pods_events(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer
) -> None:
    put_pod(server, kubernetes, "train-sft", containerStatuses=[waiting("ContainerCreating", "")])
    pod = pod_name(server.workflows[0][0])
    message = 'MountVolume.SetUp failed for volume "weights" : persistentvolumeclaim "gift-vllm-weights" not found'
    event = {"type": "Warning", "reason": "FailedMount", "message": message, "involvedObject": {"name": pod}}
    kubernetes.put(EVENTS, f"{pod}.17", **event)
    kubernetes.put(EVENTS, "another.18", **event | {"involvedObject": {"name": "another"}})
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    _, output = cluster_gift(*RUN)
    assert output.count("a volume is not there (FailedMount: MountVolume.SetUp failed") == 1


def test_the_nodes_of_a_train_job_are_looked_at_too(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer
) -> None:
    run_label = {"gift.kubeflow.org/run": ""}
    server.on_run = lambda run_id: run_label.update({"gift.kubeflow.org/run": run_id})
    server.workflows = [[workflow_node("train-sft", "Succeeded")]]
    kubernetes.put(
        "/apis/trainer.kubeflow.org/v1alpha1/namespaces/kubeflow/trainjobs", "sft-3f", metadata={"labels": run_label}
    )
    labels = {"jobset.sigs.k8s.io/jobset-name": "sft-3f"}
    conditions = {"phase": "Pending", "conditions": [SCHEDULING]}
    kubernetes.put(PODS, "sft-3f-node-0-1-x", metadata={"labels": labels}, status=conditions)
    event = {"type": "Warning", "reason": "FailedCreate", "message": f"Error creating: {QUOTA}"}
    kubernetes.put(EVENTS, "sft-3f.1", **event, involvedObject={"kind": "Job", "name": "sft-3f-node-0"})
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    exit_status, output = cluster_gift(*RUN, "--set", "compute.nodes=2", "--set", "compute.ranks=2")
    assert exit_status == 0
    assert output.count("sft-3f-node-0-1-x does not start: no node has room for it") == 1
    assert output.count("sft-3f-node-0 does not start: the quota is used up (FailedCreate: Error creating: pods") == 1


QUOTA = 'pods "x" is forbidden: exceeded quota: gift, requested: requests.cpu=8, used: requests.cpu=4, limited: 8'
POLICY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'


def test_what_keeps_argo_from_making_a_pod_is_told_without_kubernetes(cluster_gift: Gift, server: KfpServer) -> None:
    server.workflows = [[workflow_node("train-sft", "Pending", QUOTA), workflow_node("convert-driver", "Pending")]]
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    _, output = cluster_gift(*RUN)
    assert output.count(f"\n  train-sft does not start: the quota is used up ({QUOTA}); ") == 1
    assert output.count("does not start") == 1


def test_a_refused_pod_is_the_reason_of_the_failure(cluster_gift: Gift, server: KfpServer) -> None:
    server.workflows = [[workflow_node("train-sft", "Error", POLICY)]]
    server.progress = [*RUNNING, ("FAILED", {"train-sft": "FAILED"})]
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 1
    assert f"  train-sft failed\n  train-sft: {POLICY}\n" in output


@pytest.mark.parametrize(
    "message", ["OOMKilled (exit code 137)", "pod deleted", "The node was low on resource: ephemeral-storage."]
)
def test_a_stage_that_starts_again_says_so_and_why(cluster_gift: Gift, server: KfpServer, message: str) -> None:
    first, second = workflow_node("train-sft", "Failed", message), workflow_node("train-sft", "Running", "", 1)
    server.workflows = [[first], [first], [first, second]]
    server.progress = [*RUNNING * 6, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 0
    lines = output.splitlines()
    assert lines[2:5] == [
        "▶ train-sft",
        f"  train-sft starts again (attempt 2): {message}",
        "  train-sft succeeded",
    ]


def test_a_second_attempt_between_two_looks_is_told_before_the_end(
    cluster_gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "QUIET_SECONDS", 3600.0)
    waits = workflow_node("convert", "Pending", QUOTA)  # as a pod may for a moment
    again = [workflow_node("train-sft", "Error", "pod deleted"), workflow_node("train-sft", "Running", "", 1)]
    server.workflows = [[*again, waits]]
    server.progress = [*RUNNING * 2, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    _, output = cluster_gift(*RUN)
    assert "again (attempt 2): pod deleted\n  train-sft succeeded" in output
    assert "does not start" not in output


LOG = """2026-11-29T12:00:00Z ▶ train-sft
2026-11-29T12:00:00Z error: an earlier one, which was waited out
2026-11-29T12:00:00Z error: the bucket gift does not exist; make it
F1129 12:00:00.000000 1 main.go:61] failed to execute component: exit status 1
"""


@pytest.mark.parametrize("behind_pages", [False, True])
@pytest.mark.parametrize("attempt", [None, 0])
def test_a_failed_stage_says_its_own_last_line(
    cluster_gift: Gift, server: KfpServer, attempt: int | None, behind_pages: bool
) -> None:
    server.behind_pages = behind_pages
    node = workflow_node("train-sft", "Failed", "Error (exit code 1)", attempt)
    server.workflows, server.logs = [[node]], {pod_name(node): LOG}
    server.progress = [*RUNNING, ("RUNNING", {"train-sft": "FAILED"}), ("FAILED", {"train-sft": "FAILED"})]
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 1
    assert "  train-sft failed\n  train-sft: error: the bucket gift does not exist; make it\n" in output
    assert output.count("does not exist") == 1
    assert output.splitlines()[-1].startswith("error: stage train-sft failed; its logs are on ")


def test_a_log_that_kfp_does_not_hand_out_comes_from_the_pod(
    cluster_gift: Gift, server: KfpServer, kubernetes: ObjectServer
) -> None:
    node = workflow_node("train-sft", "Failed", "Error (exit code 1)")
    server.workflows = [[node]]
    kubernetes.logs[f"{PODS}/{pod_name(node)}"] = LOG
    server.progress = [*RUNNING, ("FAILED", {"train-sft": "FAILED"})]
    assert "  train-sft: error: the bucket gift does not exist; make it\n" in cluster_gift(*RUN)[1]


def test_a_stage_that_was_killed_without_a_word_is_explained_by_argo(cluster_gift: Gift, server: KfpServer) -> None:
    node = workflow_node("train-sft", "Failed", "OOMKilled (exit code 137)")
    server.workflows, server.logs = [[node]], {pod_name(node): "▶ train-sft\n  step 3\n"}
    server.progress = [*RUNNING, ("FAILED", {"train-sft": "FAILED"})]
    assert "\n  train-sft: OOMKilled (exit code 137)\n" in cluster_gift(*RUN)[1]


def test_a_driver_that_fails_is_named(cluster_gift: Gift, server: KfpServer) -> None:
    server.workflows = [[workflow_node("train-sft-driver", "Failed", "Error (exit code 1)", None)]]
    server.progress = [("RUNNING", {}), ("FAILED", {})]
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 1
    assert "\n  train-sft-driver: Error (exit code 1)\nerror: the run failed outside of its stages" in output


@pytest.mark.parametrize("without", ["workflow", "kubernetes", "both"])
def test_a_run_is_followed_without_what_is_out_of_reach(
    cluster_gift: Gift, server: KfpServer, without: str, request: pytest.FixtureRequest
) -> None:
    if without == "workflow":
        request.getfixturevalue("kubernetes")
    if without == "kubernetes":
        server.workflows = [[workflow_node("start-run", "Running")]]
    server.progress = list(TRAINED)
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 0
    assert output.splitlines()[2:4] == ["▶ start-run", "  start-run succeeded"]


@pytest.mark.parametrize("fault", ["token", "right", "cluster", "away"])
def test_a_kubernetes_that_can_not_be_asked_is_told_once_and_the_run_followed(
    cluster_gift: Gift,
    server: KfpServer,
    kubernetes: ObjectServer,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.workflows = [[workflow_node("train-sft", "Running")]]
    server.progress = [*RUNNING * 4, ("SUCCEEDED", {"train-sft": "SUCCEEDED"})]
    if fault == "token":
        monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig(tmp_path / "expired", token="of-yesterday")))
    if fault == "right":
        kubernetes.forbidden.add(PODS)
    if fault == "away":
        monkeypatch.setenv("KUBECONFIG", str(ObjectServer("http://127.0.0.1:9").kubeconfig(tmp_path / "gone")))
    expected = {
        "token": r"looked up: Kubernetes at http://\S+ does not know who asks \(401\).*sign in again",
        "right": rf"looked up: Kubernetes at http://\S+ refuses GET {PODS} \(User \"dev\" cannot list resource",
        "cluster": r"no pod of this run in namespace kubeflow; the kubeconfig is another cluster's than that of KFP",
        "away": r"looked up: Kubernetes at http://127.0.0.1:9 does not answer",
    }
    exit_status, output = cluster_gift(*RUN)
    assert exit_status == 0
    assert len(re.findall(expected[fault], output)) == 1
    assert output.count("Kubernetes at") == 1
