"""What `gift doctor` says where it can't reach what it asks, or is asked the wrong way."""

import json
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import Gift
from healthy_cluster import DOCTOR, IMAGE, healthy, line
from kfp_server import KfpServer
from kubernetes_objects import ObjectServer

pytestmark = pytest.mark.usefixtures("alone")


@pytest.mark.parametrize("fault", ["none", "token", "sign-in", "cluster", "away"])
def test_without_kubernetes_one_line_says_what_is_not_checked(
    cluster_gift: Gift,
    kubernetes: ObjectServer,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    server: KfpServer,
) -> None:
    kubeconfigs = {
        "none": tmp_path / "none",
        "token": kubernetes.kubeconfig(tmp_path / "expired", token="of-yesterday"),
        "sign-in": _signs_in_with(kubernetes.kubeconfig(tmp_path / "cloud"), "no-such-auth-plugin"),
        "cluster": kubernetes.kubeconfig(tmp_path / "another"),
        "away": ObjectServer("http://127.0.0.1:9").kubeconfig(tmp_path / "gone"),
    }
    expected = {
        "none": "there is no Kubernetes API to ask (",
        "token": "does not know who asks (401): the token in the kubeconfig is wrong or has expired; sign in again",
        "sign-in": f"the command that {tmp_path}/cloud signs in with fails ([Errno 2] No such file or directory: 'no-",
        "cluster": f"the kubeconfig is another cluster's than that of KFP at {server.address}, or --kubeflow-namespace",
        "away": "Kubernetes at http://127.0.0.1:9 does not answer",
    }
    monkeypatch.setenv("KUBECONFIG", str(kubeconfigs[fault]))
    status, output = cluster_gift(*DOCTOR)
    assert status == 0, output
    assert expected[fault] in line(output, "Kubernetes", "note")
    assert "not checked: Secrets, account, quota, nodes" in output
    assert len(output.splitlines()) == 5


def _signs_in_with(kubeconfig: Path, command: str) -> Path:
    """As the kubeconfigs of cloud providers do."""
    content = json.loads(kubeconfig.read_text())
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}
    content["users"][0]["user"] = {"exec": plugin}
    kubeconfig.write_text(json.dumps(content))
    return kubeconfig


@pytest.mark.parametrize(
    ("version", "state", "text"),
    [
        ("2.4.1", "fails", "KFP 2.4 at http"),
        ("2.0.5", "fails", "is too old: it gives all runs one id; upgrade it to 2.17 (2.5 is the oldest that works)"),
        ("2.5.0", "note", "2.5 at http"),
        ("2.18.1", "note", "this was made for 2.17"),
        ("unknown", "note", "does not tell its version"),
    ],
)
def test_kfps_version_is_compared(
    cluster_gift: Gift, kubernetes: ObjectServer, server: KfpServer, version: str, state: str, text: str
) -> None:
    healthy(kubernetes)
    server.version = version
    status, output = cluster_gift(*DOCTOR)
    assert status == (1 if state == "fails" else 0)
    assert text in line(output, "KFP", state)


def test_a_kfp_with_users_wants_a_namespace_and_is_looked_at_there(
    cluster_gift: Gift, kubernetes: ObjectServer, server: KfpServer
) -> None:
    healthy(kubernetes)
    server.multi_user = True
    status, output = cluster_gift(*DOCTOR)
    assert status == 1
    assert "name your namespace in KFP_NAMESPACE or --kfp-namespace" in line(output, "KFP", "fails")
    status, output = cluster_gift(*DOCTOR, "--kfp-namespace", "team")
    assert status == 1
    assert "there is no namespace team at http://" in line(output, "namespace", "fails")
    healthy(kubernetes, "team")
    kubernetes.put("/api/v1/namespaces/team/serviceaccounts", "default-editor")
    status, output = cluster_gift(*DOCTOR, "--kfp-namespace", "team")
    assert status == 0, output
    assert "the run's pods are default-editor in namespace team" in output


@pytest.mark.parametrize("kfp", [None, "http://127.0.0.1:9"])
def test_a_kfp_that_is_not_there_fails_and_the_rest_is_checked(
    cluster_gift: Gift, kubernetes: ObjectServer, monkeypatch: pytest.MonkeyPatch, kfp: str | None
) -> None:
    healthy(kubernetes)
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    status, output = cluster_gift(*DOCTOR, *([] if kfp is None else ["--kfp-host", kfp]))
    assert status == 1
    assert line(output, "KFP", "fails")
    assert line(output, "nodes", "ok")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (*DOCTOR[:-1], "registry.example.org/gift:latest"),
            "the image registry.example.org/gift:latest must be named ",
        ),
        (("doctor", "--profile", "nowhere", "--image", IMAGE), "nowhere"),
    ],
)
def test_a_mistake_of_the_call_is_one_line(cluster_gift: Gift, arguments: tuple[str, ...], message: str) -> None:
    status, output = cluster_gift(*arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
