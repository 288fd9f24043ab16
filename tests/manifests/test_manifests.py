"""Every overlay renders, its objects are what their schemas say, and what they name exists."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from network import selects
from references import missing
from rendered import MANIFESTS, OVERLAYS, Object, kustomize, of_kind, pod_templates, render, the, title
from schemas import schema_errors

from gift.config.cluster import ClusterConfig
from gift.config.surroundings import WEIGHTS_FOLDER
from gift.launch.train_job_manifest import CONTAINER, SHARED_MEMORY, WEIGHTS, WORK
from gift.preflight.disk import TMP_GIB

SECRET_EXAMPLES = sorted((MANIFESTS / "secrets").glob("*.env.example"))
PULL_SECRET = "gift-registry"  # made by `kubectl create secret docker-registry`
OUTSIDE = {("Secret", path.name.removesuffix(".env.example")) for path in SECRET_EXAMPLES} | {("Secret", PULL_SECRET)}


def test_there_are_the_four_overlays() -> None:
    assert OVERLAYS == ["air-gapped", "local", "multi-node", "single-node-gpu"]


def test_the_readme_names_every_overlay_and_component() -> None:
    readme = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    folders = [path.name for folder in ("overlays", "components") for path in (MANIFESTS / folder).iterdir()]
    assert [name for name in folders if name not in readme] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay: str) -> None:
    assert [line for item in render(overlay) for line in schema_errors(item)] == []


def test_every_component_is_part_of_an_overlay_or_renders_alone() -> None:
    used = {
        (MANIFESTS / "overlays" / overlay / path).resolve().name
        for overlay in OVERLAYS
        for path in yaml.safe_load((MANIFESTS / "overlays" / overlay / "kustomization.yaml").read_text())["components"]
    }
    unused = {path.name for path in (MANIFESTS / "components").iterdir()} - used
    assert unused == {"internet-egress", "kfp-mlflow-plugin", "vllm-server"}
    for name in unused:
        for item in yaml.safe_load_all(kustomize(MANIFESTS / "components" / name)):
            assert schema_errors(item) == []


@pytest.mark.parametrize(
    "kind", ["Deployment", "NetworkPolicy", "ClusterTrainingRuntime", "ClusterQueue", "LocalQueue"]
)
def test_an_unknown_field_is_an_error(kind: str) -> None:
    item = of_kind(render("multi-node"), kind)[0]
    item["spec"]["unheardOf"] = True
    assert schema_errors(item) != []


def test_an_unknown_field_deep_in_the_training_runtime_is_an_error() -> None:
    objects = render("multi-node")
    runtime = the(objects, "ClusterTrainingRuntime", "gift-deepspeed")
    [template] = list(pod_templates([runtime]))
    template.containers[0]["securityContext"]["readOnlyRootFileSystem"] = True
    assert schema_errors(runtime) != []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_object_names_exists(overlay: str) -> None:
    assert missing(render(overlay), OUTSIDE) == set()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ServiceAccount", "postgres"),
        ("ConfigMap", "create-bucket"),
        ("Service", "postgres"),
        ("Role", "train-jobs"),
        ("ClusterQueue", "gift"),
        ("ResourceFlavor", "gift-gpu"),
    ],
)
def test_a_missing_object_is_found(kind: str, name: str) -> None:
    objects = render("multi-node")
    gone = the(objects, kind, name)
    objects.remove(gone)
    assert missing(objects, OUTSIDE) == {(kind, gone["metadata"]["name"])}


def test_a_secret_without_an_example_is_found() -> None:
    assert missing(render("local"), OUTSIDE - {("Secret", "gift-postgres")}) == {("Secret", "gift-postgres")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_key_of_a_secret_is_in_its_example(overlay: str) -> None:
    wanted = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for pod in pod_templates(render(overlay))
        for container in pod.containers
        for entry in container.get("env", ())
        if "secretKeyRef" in entry.get("valueFrom", {}) and not entry["valueFrom"]["secretKeyRef"].get("optional")
    }
    offered = {(_secret_name(path), key) for path in SECRET_EXAMPLES for key, _ in _settings(path)}
    assert wanted
    assert wanted <= offered


def test_examples_of_secrets_hold_no_value() -> None:
    assert [path.name for path in SECRET_EXAMPLES if any(value for _, value in _settings(path))] == []
    assert (MANIFESTS / "secrets" / ".gitignore").read_text().splitlines()[-1] == "*.env"


def test_names_are_those_that_profiles_ask_for() -> None:
    cluster = ClusterConfig()
    objects = render("multi-node")
    assert {cluster.s3_secret, cluster.mlflow_secret} <= {_secret_name(path) for path in SECRET_EXAMPLES}
    assert the(objects, "ClusterTrainingRuntime", cluster.runtime)
    assert the(objects, "LocalQueue", "gift-training")  # what manifests/README.md tells to put into `cluster.queue`


def test_train_jobs_may_take_the_secrets_and_the_claim_that_the_manifests_have_names_for() -> None:
    policy = the(render("multi-node"), "ValidatingAdmissionPolicy", "gift-train-jobs")["spec"]
    (allowed,) = [variable["expression"] for variable in policy["variables"] if variable["name"] == "secrets"]
    names = set(yaml.safe_load(allowed))
    ours = names - {"kfp-mlflow-credentials"}  # KFP's name; its keys are the plugin's to choose
    assert (
        ours == {"gift-s3", "gift-mlflow", "gift-hub", "gift-vllm"} <= {_secret_name(path) for path in SECRET_EXAMPLES}
    )
    component = list(yaml.safe_load_all(kustomize(MANIFESTS / "components" / "vllm-server")))
    (claim,) = of_kind(component, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert any(f"claimName == '{claim['metadata']['name']}'" in rule["expression"] for rule in policy["validations"])


def test_the_runtime_has_what_a_train_job_changes() -> None:
    runtime = the(render("multi-node"), "ClusterTrainingRuntime", ClusterConfig().runtime)
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    [pod] = pod_templates([runtime])
    assert job["name"] == CONTAINER
    assert [container["name"] for container in pod.containers] == [CONTAINER]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.containers[0]["volumeMounts"]}
    assert mounts == {SHARED_MEMORY: "/dev/shm", "tmp": "/tmp", WORK: "/work", WEIGHTS: WEIGHTS_FOLDER}
    sizes = {volume["name"]: volume["emptyDir"]["sizeLimit"] for volume in pod.spec["volumes"]}
    assert sizes["tmp"] == f"{TMP_GIB}Gi"
    assert job["template"]["spec"]["backoffLimit"] == 0
    assert "env" not in pod.containers[0]  # the job's Secrets are those of its profile


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kfp_keeps_its_outputs_in_the_bucket_that_is_created(overlay: str) -> None:
    objects = render(overlay)
    launcher = the(objects, "ConfigMap", "kfp-launcher")["data"]
    [bucket] = [entry["value"] for pod in pod_templates(objects) for container in pod.containers
                for entry in container.get("env", ()) if entry["name"] == "BUCKET"]  # fmt: skip
    assert launcher["defaultPipelineRoot"].startswith(f"s3://{bucket}/")
    settings = yaml.safe_load(launcher["providers"])["s3"]["default"]
    assert set(settings) == {"endpoint", "region", "disableSSL", "forcePathStyle", "credentials"}
    assert "://" not in settings["endpoint"]
    assert settings["disableSSL"] == (overlay in {"local", "single-node-gpu"})
    secret = settings["credentials"]["secretRef"]
    assert secret["secretName"] == ClusterConfig().s3_secret
    readable = {name for role in of_kind(objects, "Role") for rule in role["rules"]
                if "secrets" in rule["resources"] for name in rule["resourceNames"]}  # fmt: skip
    assert readable == {secret["secretName"]}
    keys = {key for path in SECRET_EXAMPLES for key, _ in _settings(path)}
    assert {secret["accessKeyKey"], secret["secretKeyKey"]} <= keys


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_leads_to_a_port_of_a_pod(overlay: str) -> None:
    objects = render(overlay)
    for service in of_kind(objects, "Service"):
        [pod] = [
            pod for pod in pod_templates(objects) if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
        ]
        ports = {
            port["name"]: port["containerPort"] for container in pod.containers for port in container.get("ports", ())
        }
        assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [
            port["port"] for port in service["spec"]["ports"]
        ]


def test_the_air_gapped_overlay_takes_every_image_from_one_registry_with_its_key() -> None:
    objects = render("air-gapped")
    images = {container["image"] for pod in pod_templates(objects) for container in pod.containers}
    assert {image.partition("/")[0] for image in images} == {"registry.internal"}
    accounts = of_kind(objects, "ServiceAccount")
    assert {
        title(account) for account in accounts if account.get("imagePullSecrets") != [{"name": PULL_SECRET}]
    } == set()
    assert len(accounts) == 4


def test_the_air_gapped_overlay_names_no_public_address() -> None:
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    assert {block["cidr"] for block in _ip_blocks(render("air-gapped"))} == private
    assert "0.0.0.0/0" in {block["cidr"] for block in _ip_blocks(render("multi-node"))}


def _ip_blocks(objects: list[Object]) -> Iterator[Object]:
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            yield from (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer)


def _secret_name(path: Path) -> str:
    return path.name.removesuffix(".env.example")


def _settings(path: Path) -> list[tuple[str, str]]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [(line.partition("=")[0], line.partition("=")[2]) for line in lines if line and not line.startswith("#")]
