"""Tests of a real cluster, on request only: `make cluster-test IMAGE=registry/name@sha256:…`.

They have met the stand-ins for KFP's and Kubernetes' APIs (tests/pipelines/kubeflow/test_cluster_tests.py), and no real
cluster yet. They go to whatever KUBECONFIG and KF_PIPELINES_ENDPOINT name (KFP_NAMESPACE and KFP_TOKEN for a KFP with
users), skip by name what the cluster lacks, end and delete the runs, pods and schedules that they made, and leave the
MLflow experiment and the registered model `gift-cluster-test` and what the stages stored in S3, which is found again.
"""

import os
from collections.abc import Iterator

import pytest
from cluster_under_test import Cluster

from gift.errors import GiftError
from pipelines.kubeflow.kfp_api import open_kfp_api
from pipelines.kubeflow.kubernetes_api import KubernetesApi, connect_to_kubernetes

IMAGE, SETTINGS = "GIFT_CLUSTER_TEST_IMAGE", "GIFT_CLUSTER_TEST_SETTINGS"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster and what is started on it, until the session ends."""
    image, host = os.environ.get(IMAGE), os.environ.get("KF_PIPELINES_ENDPOINT")
    if not image:
        pytest.skip("only on request: make cluster-test IMAGE=registry/name@sha256:…")
    if not host:
        pytest.fail("KF_PIPELINES_ENDPOINT does not name the cluster's KFP")
    namespace = os.environ.get("KFP_NAMESPACE")
    cluster = Cluster(open_kfp_api(host, namespace), image, tuple(os.environ.get(SETTINGS, "").split()))
    try:
        yield cluster
    finally:
        cluster.clean_up()


@pytest.fixture(scope="session")
def finished(cluster: Cluster) -> str:
    """The first run, which has ended well."""
    run_id = cluster.submit()
    cluster.follow(run_id)
    return run_id


@pytest.fixture(scope="session")
def kubernetes(cluster: Cluster) -> KubernetesApi:
    """The Kubernetes API of that cluster; the test is skipped where it can't be asked."""
    try:
        api = connect_to_kubernetes()
        if api.get("/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline") is None:
            pytest.skip("the kubeconfig's cluster has no KFP in namespace kubeflow")
    except GiftError as error:
        pytest.skip(str(error))
    return api
