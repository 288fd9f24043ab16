"""The TrainJob that is submitted, and how it is followed, cancelled and taken over.

No API server and no Trainer can run here. The object is checked against the models that Kubeflow generates from
Trainer's CRDs (version 2.3.0), strictly: nothing in it may be unknown to them. The rest talks to a small HTTP server
that imitates the endpoints that are used, through the real SDK and the real Kubernetes client.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import TrainerClient
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob
from kubernetes.client import Configuration
from kubernetes_server import Cluster, kubernetes_cluster

from gift.config import load_profile
from gift.errors import GiftError
from gift.launch.train_job_api import TrainJobApi
from gift.launch.train_job_follow import Patience, cancel_train_jobs, run_train_job
from gift.launch.train_job_manifest import train_job

ROOT = Path(__file__).parents[3]
IMAGE = "registry.example/gift@sha256:" + "0" * 64
JOB = "s3://gift/runs/r/nodes/train-sft/d/job"
QUICK = Patience(look=0.05, away=1.0, deletion=5.0)
NAME = "gift-0123456789ab"
RUN = "7c2e8a4e-52f7-4b1c-9c3f-0a5b8f4f7a11"
GPU_SETTINGS = (
    "compute.nodes=2",
    "compute.ranks=4",
    "compute.gpu={name: H100, memory_gib: 80}",
    "rl.prompts_per_step=16",
    "cluster.queue=team-a",
    "cluster.runtime=own-runtime",
    "cluster.s3_secret=own-s3",
    "cluster.training={cpu: 7.5, memory_gib: 30}",
    "cluster.shared_memory_gib=4",
    "cluster.training_timeout_hours=2",
    "cluster.tolerations=[{key: nvidia.com/gpu, effect: NoSchedule}]",
    "cluster.node_selector={gpu: h100}",
)


def job_for(*settings: str, stage: str = "train-policy") -> dict[str, Any]:
    return train_job(NAME, RUN, IMAGE, JOB, load_profile("local", settings), stage)


# --- the object ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [(), GPU_SETTINGS], ids=["cpu", "gpu"])
def test_every_field_is_one_that_trainer_knows(settings: tuple[str, ...]) -> None:
    job = job_for(*settings)
    assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])  # the CRD's own rule
    assert len(f"{job['metadata']['name']}-node-0-99-xxxxx") <= 63  # what Trainer makes of it for pods


def test_the_profile_decides_what_the_nodes_ask_for() -> None:
    job = job_for(*GPU_SETTINGS)
    spec, trainer = job["spec"], job["spec"]["trainer"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert spec["runtimeRef"] == {"name": "own-runtime", "kind": "ClusterTrainingRuntime"}
    assert spec["activeDeadlineSeconds"] == 7200
    assert (trainer["image"], trainer["command"]) == (IMAGE, ["python", "-m", "gift.launch.node_program", JOB])
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 2)
    amounts = {"cpu": "7.5", "memory": "30720Mi", "ephemeral-storage": "13Gi", "nvidia.com/gpu": "2"}
    assert trainer["resourcesPerNode"] == {"requests": amounts, "limits": amounts}
    (pods,) = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert pods["name"] == "node"
    pod = pods["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"gpu": "h100"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["volumes"] == [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "4096Mi"}},
        {"name": "work", "emptyDir": {"sizeLimit": "2Gi"}},
    ]


def test_credentials_are_named_and_never_held() -> None:
    environment = {entry.pop("name"): entry for entry in job_for(*GPU_SETTINGS)["spec"]["trainer"]["env"]}
    secret = {"secretKeyRef": {"name": "own-s3", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert environment["AWS_SECRET_ACCESS_KEY"] == {"valueFrom": secret}
    assert environment["GIFT_MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]["optional"] is True
    assert [name for name, entry in environment.items() if "value" in entry] == ["HF_HUB_OFFLINE"]
    assert not any(name.startswith("PET_") for name in environment)  # Trainer refuses a job that sets its own


KFPS = {"MLFLOW_RUN_ID": "r", "MLFLOW_TRACKING_URI": "http://kfps:5000", "MLFLOW_WORKSPACE": "team-a"}


def test_nodes_reach_the_server_of_the_run_that_kfp_has_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KFPS.items():
        monkeypatch.setenv(name, value)
    keys = {"usernameKey": "user", "passwordKey": "pass"}
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", json.dumps({"authType": "basic-auth", "credentialSecretRef": keys}))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "never-in-a-job")
    job = job_for("compute.nodes=2")
    environment = {entry.pop("name"): entry for entry in job["spec"]["trainer"]["env"]}
    assert {name: environment[name]["value"] for name in KFPS} == KFPS
    for name, key in (("USERNAME", "user"), ("PASSWORD", "pass")):
        secret = {"name": "kfp-mlflow-credentials", "key": key}
        assert environment[f"MLFLOW_TRACKING_{name}"] == {"valueFrom": {"secretKeyRef": secret}}
    assert "never-in-a-job" not in json.dumps(job)


def test_nodes_which_have_no_account_to_sign_in_with_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (KFPS | {"MLFLOW_TRACKING_AUTH": "kubernetes-namespaced"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GiftError, match="AUTH is kubernetes-namespaced, but the nodes of a training run under an acc"):
        job_for("compute.nodes=2")


def test_a_profile_without_gpus_or_queue_asks_for_neither() -> None:
    job = job_for("compute.nodes=2")
    assert "nvidia.com/gpu" not in job["spec"]["trainer"]["resourcesPerNode"]["limits"]
    assert job["metadata"]["labels"] == {"app.kubernetes.io/part-of": "gift", "gift.kubeflow.org/run": RUN}


def volumes(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (pods,) = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return {volume.pop("name"): volume for volume in pods["template"]["spec"]["template"]["spec"]["volumes"]}


def test_a_storage_class_gives_every_node_a_volume_of_its_own() -> None:
    job = job_for("compute.nodes=2", "cluster.work_storage_class=fast-ssd", "cluster.training.work_gib=300")
    assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    assert job["spec"]["trainer"]["resourcesPerNode"]["requests"]["ephemeral-storage"] == "11Gi"
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast-ssd"}
    spec["resources"] = {"requests": {"storage": "300Gi"}}
    assert volumes(job)["work"] == {"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}


ON_SERVER = (
    "compute.nodes=2",
    "rollout.engine=vllm",
    "rollout.vllm.placement=server",
    "cluster.vllm_secret=own-vllm",
    "cluster.vllm_weights_claim=own-weights",
)


def test_nodes_that_sample_on_a_server_get_its_address_and_the_volume_for_its_weights() -> None:
    job = job_for(*ON_SERVER)
    assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    environment = {entry.pop("name"): entry for entry in job["spec"]["trainer"]["env"]}
    assert environment["GIFT_VLLM_SERVER"]["valueFrom"]["secretKeyRef"]["name"] == "own-vllm"
    assert environment["GIFT_VLLM_WEIGHTS"] == {"value": "/weights"}
    assert volumes(job)["vllm-weights"] == {"persistentVolumeClaim": {"claimName": "own-weights"}}
    warm_up = job_for(*ON_SERVER, stage="train-sft")
    assert not [entry for entry in warm_up["spec"]["trainer"]["env"] if "VLLM" in entry["name"]]
    assert "vllm-weights" not in volumes(warm_up)


# --- following it --------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with kubernetes_cluster() as running:
        yield running


@pytest.fixture
def api(cluster: Cluster) -> TrainJobApi:
    settings = KubernetesBackendConfig(namespace="gift", client_configuration=_client(cluster))
    return TrainJobApi(TrainerClient(settings).backend)


def _client(cluster: Cluster) -> Configuration:
    configuration = Configuration(host=cluster.url)
    configuration.retries = False
    return configuration


def complete(cluster: Cluster, *lines: str) -> Any:
    """A controller under which the job prints `lines` and ends well."""

    def run(job: dict[str, Any]) -> None:
        cluster.start_pods(job)
        for line in lines:
            cluster.write(0, line)
            time.sleep(0.1)
        time.sleep(0.3)
        for node in (0, 1):
            cluster.end_pod(node, 0)
        cluster.set_condition(job, "Complete")

    return run


def test_a_job_that_completes_prints_the_log_of_node_0_and_is_removed(
    cluster: Cluster, api: TrainJobApi, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.on_create = complete(cluster, "· sft 1/2", "· sft 2/2")
    run_train_job(api, job_for("compute.nodes=2"), QUICK)
    output = capsys.readouterr().out.splitlines()
    assert output[0] == f"  submitted TrainJob {NAME} in namespace gift"
    assert [line for line in output if line.startswith("·")] == ["· sft 1/2", "· sft 2/2"]
    assert "  2 of 2 nodes run" in output
    assert cluster.jobs == {}


def test_no_line_is_lost_or_printed_twice_when_the_log_is_cut(
    cluster: Cluster, api: TrainJobApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift.launch.pod_log.PAUSE_SECONDS", 0.05)
    lines = [f"· line {number}" for number in range(8)]
    cluster.cuts = [1, 3, 6]
    cluster.on_create = complete(cluster, *lines)
    run_train_job(api, job_for("compute.nodes=2"), QUICK)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("·")] == lines
    assert cluster.cuts == []


def test_the_reason_is_that_of_the_node_that_failed(cluster: Cluster, api: TrainJobApi) -> None:
    def fail(job: dict[str, Any]) -> None:
        cluster.start_pods(job)
        cluster.end_pod(1, 137, "OOMKilled")
        cluster.end_pod(0, 1, message="node 1 of 2 (10.0.0.7) was lost: it ended without a word\n")
        time.sleep(0.3)
        cluster.set_condition(job, "Failed", "jobset failed due to one or more job failures")

    cluster.on_create = fail
    with pytest.raises(GiftError) as error:
        run_train_job(api, job_for("compute.nodes=2"), QUICK)
    assert str(error.value) == (
        "node 1 of 2 (10.0.0.7) was lost: it ended without a word "
        f"[TrainJob {NAME}: {NAME}-node-0-0-x0 Error (exit code 1), {NAME}-node-0-1-x1 OOMKilled (exit code 137)]"
    )
    assert NAME in cluster.jobs  # its pods can be looked at


def test_a_job_without_pods_fails_with_trainers_own_words(cluster: Cluster, api: TrainJobApi) -> None:
    cluster.on_create = lambda job: cluster.set_condition(job, "Failed", "the deadline is over")
    with pytest.raises(GiftError, match=rf"the deadline is over \[TrainJob {NAME}\]"):
        run_train_job(api, job_for("compute.nodes=2"), QUICK)


def test_a_job_that_somebody_deletes_is_no_success(cluster: Cluster, api: TrainJobApi) -> None:
    def vanish(job: dict[str, Any]) -> None:
        cluster.start_pods(job)
        time.sleep(0.3)
        cluster.delete(NAME)

    cluster.on_create = vanish
    with pytest.raises(GiftError, match=f"TrainJob {NAME} was deleted by somebody else"):
        run_train_job(api, job_for("compute.nodes=2"), QUICK)


def test_a_moment_without_the_api_server_costs_nothing(cluster: Cluster, api: TrainJobApi) -> None:
    finish = complete(cluster)

    def stumble(job: dict[str, Any]) -> None:
        cluster.faults = 5
        finish(job)

    cluster.on_create = stumble
    run_train_job(api, job_for("compute.nodes=2"), QUICK)
    assert cluster.faults == 0
    assert sum(request.startswith("POST") for request in cluster.requests) == 1


def test_an_api_server_that_stays_away_is_named_and_the_job_is_cancelled(cluster: Cluster, api: TrainJobApi) -> None:
    def break_down(job: dict[str, Any]) -> None:
        cluster.start_pods(job)
        cluster.faults = 10**6

    cluster.on_create = break_down
    with pytest.raises(GiftError, match=r"Kubernetes does not answer for \d+ minutes .*500"):
        run_train_job(api, job_for("compute.nodes=2"), QUICK)
    assert cluster.requests[-1].startswith("DELETE")


def test_a_refusal_is_repeated(cluster: Cluster, api: TrainJobApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "namespace", "other")  # the server knows only one
    with pytest.raises(GiftError, match=r"Kubernetes refuses reading TrainJob .* \(403 .*\): gift-stage may not"):
        run_train_job(api, job_for("compute.nodes=2"), QUICK)


def test_a_job_that_still_runs_is_gone_on_with(
    cluster: Cluster, api: TrainJobApi, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_for("compute.nodes=2")
    cluster.jobs[NAME] = job
    threading.Thread(target=complete(cluster, "· sft 2/2"), args=(job,)).start()
    run_train_job(api, job, QUICK)
    assert "which was there already" in capsys.readouterr().out
    assert not any(request.startswith("POST") for request in cluster.requests)


@pytest.mark.parametrize("state", ["failed", "being deleted"])
def test_a_leftover_that_can_not_go_on_is_replaced(cluster: Cluster, api: TrainJobApi, state: str) -> None:
    old = job_for("compute.nodes=2")
    cluster.jobs[NAME] = old
    cluster.deletion_seconds = 0.5
    if state == "failed":
        cluster.set_condition(old, "Failed")
    else:
        cluster.delete(NAME)
    cluster.on_create = complete(cluster)
    run_train_job(api, job_for("compute.nodes=2"), QUICK)
    assert sum(request.startswith("POST") for request in cluster.requests) == 1


def test_the_end_of_a_run_cancels_what_its_killed_stages_left_and_nothing_else(
    cluster: Cluster, api: TrainJobApi, capsys: pytest.CaptureFixture[str]
) -> None:
    left, failed, foreign = (job_for("compute.nodes=2") for _ in range(3))
    cluster.set_condition(failed, "Failed")
    foreign["metadata"]["labels"]["gift.kubeflow.org/run"] = "another-run"
    for name, job in {"gift-left": left, "gift-failed": failed, "gift-foreign": foreign}.items():
        job["metadata"]["name"] = name
        cluster.jobs[name] = job
    cluster.faults = 2  # waited out
    cancel_train_jobs(api, RUN, QUICK)
    wait_until(lambda: "gift-left" not in cluster.jobs)
    assert sorted(cluster.jobs) == ["gift-failed", "gift-foreign"]
    assert capsys.readouterr().out == "  deleting TrainJob gift-left, which the run left behind\n"


def test_waiting_in_a_queue_is_said(cluster: Cluster, api: TrainJobApi, capsys: pytest.CaptureFixture[str]) -> None:
    finish = complete(cluster)

    def wait(job: dict[str, Any]) -> None:
        cluster.set_condition(job, "Suspended")
        time.sleep(0.3)
        finish(job)

    cluster.on_create = wait
    run_train_job(api, job_for("compute.nodes=2", "cluster.queue=team-a"), QUICK)
    assert "  waits in the queue team-a" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_that_is_stopped_cancels_its_job(cluster: Cluster, tmp_path: Path, number: int, code: int) -> None:
    cluster.on_create = cluster.start_pods
    program = (
        "from gift.launch.train_job_follow import run_train_job; from gift.launch.train_job_api import TrainJobApi;"
        f"run_train_job(TrainJobApi.connect(), {job_for('compute.nodes=2')!r})"
    )
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig(tmp_path / "config")), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as stage:
        wait_until(lambda: any(request.endswith("/log") for request in cluster.requests))
        stage.send_signal(number)
        assert stage.wait(20) in (code, -number)
    assert cluster.jobs == {}


def wait_until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
