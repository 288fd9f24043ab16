"""Who may talk to whom. Everything that is not asserted to be open in one of these lists is closed."""

import pytest
import yaml
from network import Peer, connects
from rendered import MANIFESTS, OVERLAYS, kustomize, render

STAGE = Peer({"pipelines.kubeflow.org/v2_component": "true"})
TRAINING_NODE = Peer({"app.kubernetes.io/name": "training-node"})
MLFLOW = Peer({"app.kubernetes.io/name": "mlflow"})
POSTGRES = Peer({"app.kubernetes.io/name": "postgres"})
SEAWEEDFS = Peer({"app.kubernetes.io/name": "seaweedfs"})
CREATE_BUCKET = Peer({"app.kubernetes.io/name": "create-bucket"})
STRANGER = Peer({"app": "stranger"})
NEIGHBOUR = Peer({"pipelines.kubeflow.org/v2_component": "true"}, namespace="someone-else")
DNS = Peer({"k8s-app": "kube-dns"}, namespace="kube-system")
KFP_API = Peer({"app": "ml-pipeline"}, namespace="kubeflow")
KFP_UI = Peer({"app": "ml-pipeline-ui"}, namespace="kubeflow")
KFP_METADATA = Peer({"component": "metadata-grpc-server"}, namespace="kubeflow")
KFP_STORE = Peer({"app": "seaweedfs"}, namespace="kubeflow")
KFP_RUN = Peer({"pipelines.kubeflow.org/v2_component": "true"}, namespace="kubeflow")
KUBERNETES_API = Peer(address="10.0.0.10")
INTERNET = Peer(address="93.184.216.34")
OWN_PODS = (STAGE, TRAINING_NODE, MLFLOW, POSTGRES, SEAWEEDFS, CREATE_BUCKET, STRANGER)

IN_CLUSTER_S3 = ("local", "single-node-gpu")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_stages_reach_what_a_run_needs(overlay: str) -> None:
    objects = render(overlay)
    assert connects(objects, STAGE, MLFLOW, 5000)
    assert connects(objects, STAGE, KFP_API, 8887)
    assert connects(objects, STAGE, KFP_METADATA, 8080)
    assert connects(objects, STAGE, KFP_STORE, 8333)
    assert connects(objects, STAGE, KUBERNETES_API, 443)
    assert connects(objects, STAGE, KUBERNETES_API, 6443)
    assert connects(objects, MLFLOW, POSTGRES, 5432)
    assert all(connects(objects, pod, DNS, 53, protocol) for pod in OWN_PODS for protocol in ("UDP", "TCP"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whoever_writes_artifacts_reaches_s3(overlay: str) -> None:
    s3, port = (SEAWEEDFS, 8333) if overlay in IN_CLUSTER_S3 else (Peer(address="10.1.2.3"), 443)
    for pod in (STAGE, MLFLOW, CREATE_BUCKET):
        assert connects(render(overlay), pod, s3, port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_else_reaches_a_server(overlay: str) -> None:
    objects = render(overlay)
    for source in (STAGE, TRAINING_NODE, SEAWEEDFS, CREATE_BUCKET, STRANGER, NEIGHBOUR, KFP_API, KFP_RUN):
        assert not connects(objects, source, POSTGRES, 5432)
    for source in (STRANGER, NEIGHBOUR, POSTGRES, SEAWEEDFS, KFP_UI):
        assert not connects(objects, source, MLFLOW, 5000)
    for source in (STRANGER, NEIGHBOUR, POSTGRES):
        assert not connects(objects, source, SEAWEEDFS, 8333)
    for port in (8888, 9333, 18888):  # SeaweedFS's own ports ask for no key
        assert not connects(objects, STAGE, SEAWEEDFS, port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_stages_reach_the_kubernetes_api(overlay: str) -> None:
    for pod in (MLFLOW, POSTGRES, SEAWEEDFS, TRAINING_NODE, STRANGER):
        assert not connects(render(overlay), pod, KUBERNETES_API, 6443)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_internet_is_reached_only_where_s3_is_there(overlay: str) -> None:
    objects = render(overlay)
    reached = [pod for pod in OWN_PODS if connects(objects, pod, INTERNET, 443)]
    assert reached == ([STAGE, TRAINING_NODE, MLFLOW, CREATE_BUCKET] if overlay == "multi-node" else [])
    assert not any(connects(objects, pod, INTERNET, port) for pod in OWN_PODS for port in (22, 80))


def test_training_nodes_reach_each_other_on_any_port_and_what_a_rank_writes_to() -> None:
    objects = render("multi-node")
    assert all(connects(objects, TRAINING_NODE, TRAINING_NODE, port) for port in (29500, 29501, 45678))
    assert connects(objects, TRAINING_NODE, MLFLOW, 5000)
    assert connects(objects, TRAINING_NODE, INTERNET, 443)
    assert not connects(objects, STAGE, TRAINING_NODE, 29500)
    assert not connects(objects, STRANGER, TRAINING_NODE, 29500)


def test_runs_of_a_kfp_without_users_come_in_only_where_the_overlay_says_so() -> None:
    for overlay in OVERLAYS:
        objects = render(overlay)
        assert connects(objects, KFP_RUN, MLFLOW, 5000) == (overlay == "local")
    assert connects(render("local"), KFP_RUN, SEAWEEDFS, 8333)
    assert not connects(render("single-node-gpu"), KFP_RUN, SEAWEEDFS, 8333)


def test_kfp_shows_the_outputs_that_are_in_our_s3() -> None:
    assert connects(render("single-node-gpu"), KFP_UI, SEAWEEDFS, 8333)
    assert connects(render("single-node-gpu"), KFP_API, SEAWEEDFS, 8333)


def test_the_internet_component_opens_https_for_stages_and_nothing_private() -> None:
    objects = render("local") + list(yaml.safe_load_all(kustomize(MANIFESTS / "components" / "internet-egress")))
    assert connects(objects, STAGE, INTERNET, 443)
    assert not connects(objects, STAGE, INTERNET, 80)
    assert not connects(objects, STAGE, Peer(address="169.254.169.254"), 443)  # a cloud's metadata server
    assert not connects(objects, MLFLOW, INTERNET, 443)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kfps_api_server_reaches_mlflow_only_for_its_plugin(overlay: str) -> None:
    component = list(yaml.safe_load_all(kustomize(MANIFESTS / "components" / "kfp-mlflow-plugin")))
    for objects, opened in ((render(overlay), False), (render(overlay) + component, True)):
        assert connects(objects, KFP_API, MLFLOW, 5000) == opened
        assert not connects(objects, KFP_UI, MLFLOW, 5000)
        assert not connects(objects, KFP_API, POSTGRES, 5432)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_what_samples_reaches_a_vllm_server(overlay: str) -> None:
    component = list(yaml.safe_load_all(kustomize(MANIFESTS / "components" / "vllm-server")))
    samples = Peer(STAGE.labels | {"app.kubernetes.io/component": "train-policy"})
    server = Peer({"app.kubernetes.io/name": "vllm"})
    for objects, opened in ((render(overlay), False), (render(overlay) + component, True)):
        assert connects(objects, samples, server, 8000) == opened
        assert connects(objects, TRAINING_NODE, server, 8000) == opened
        assert not any(connects(objects, pod, server, 8000) for pod in (STAGE, MLFLOW, STRANGER, NEIGHBOUR))
        assert not connects(objects, server, INTERNET, 443)


def test_a_pod_that_no_policy_selects_is_open() -> None:
    """So that these tests notice a namespace without its default."""
    without = [item for item in render("local") if item["metadata"]["name"] not in {"default-deny", "dns"}]
    assert connects(without, STRANGER, INTERNET, 22)
