"""What `gift serve` writes for a cluster: every profile's is one that Kubernetes and KServe take."""

import kubernetes_validate
import pytest
import yaml
from kserve_objects import KUBERNETES, InferenceService, validate_inference_service

from gift.config import load_profile, profile_names
from gift.errors import GiftError
from pipelines.serve.inference_service import service_name, serving_manifest

SOURCE = "s3://gift/models/0123456789abcdef/00112233445566778899aabbccddeeff"


def service(profile: str, *overrides: str) -> InferenceService:
    account, item = yaml.safe_load_all(serving_manifest(load_profile(profile, overrides), "7", SOURCE, "d" * 64))
    kubernetes_validate.validate(account, KUBERNETES, strict=True)
    checked = validate_inference_service(item)
    assert account["metadata"]["name"] == checked.spec.predictor.serviceAccountName
    return checked


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_gives_a_service_that_kserve_takes(profile: str) -> None:
    config, written = load_profile(profile), service(profile)
    predictor = written.spec.predictor
    assert predictor.model.storageUri == SOURCE
    assert written.metadata.labels["app.kubernetes.io/version"] == "7"
    assert f"--model_name={config.registered_model}" in predictor.model.args
    assert f"--max_model_len={config.model.context_length}" in predictor.model.args
    limits = predictor.model.resources["limits"]
    assert limits == predictor.model.resources["requests"]
    assert limits["memory"] == f"{config.cluster.model.memory_gib:g}Gi"
    gpus = config.rollout.vllm.tensor_parallel if config.compute.gpu else None
    assert limits.get("nvidia.com/gpu") == (str(gpus) if gpus else None)


def test_it_goes_where_the_profile_sends_gpus() -> None:
    predictor = service(
        "qwen2.5-7b-math",
        "cluster.node_selector={gpu: h100}",
        "cluster.tolerations=[{key: gpu, operator: Equal, value: 'yes', effect: NoSchedule}]",
        "cluster.gpu_resource=amd.com/gpu",
        "compute.ranks=8",
        "rollout.vllm.tensor_parallel=4",
        "evaluation.precision=fp32",
    ).spec.predictor
    assert predictor.nodeSelector == {"gpu": "h100"}
    assert predictor.tolerations == [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
    assert predictor.model.resources["limits"]["amd.com/gpu"] == "4"
    assert {"--tensor-parallel-size=4", "--dtype=float32"} <= set(predictor.model.args)
    on_cpu = service("local", "cluster.node_selector={gpu: h100}").spec.predictor
    assert on_cpu.nodeSelector == {}, "a profile without GPUs keeps off their nodes"


def test_the_account_names_the_secret_of_the_profile() -> None:
    account, _ = yaml.safe_load_all(
        serving_manifest(load_profile("local", ("cluster.s3_secret=own",)), "1", SOURCE, "")
    )
    assert account["secrets"] == [{"name": "own"}]


@pytest.mark.parametrize(
    ("model", "name"),
    [("gift-local", "gift-local"), ("Qwen2.5_7B-maths.", "qwen2-5-7b-maths"), ("a" * 53, "a" * 53)],
)
def test_a_models_name_becomes_one_of_kubernetes(model: str, name: str) -> None:
    assert service_name(model) == name
    service("local", f"registered_model={model}")


@pytest.mark.parametrize("model", ["7b", "模型", "a" * 54, "---"])
def test_a_name_that_kubernetes_can_not_have_is_named(model: str) -> None:
    with pytest.raises(GiftError, match=r"no InferenceService can be called .* register the model under another name"):
        service_name(model)


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "LLMInferenceService"},
        {"spec": {"predictor": {"model": {"storageURI": SOURCE}}}},
    ],
)
def test_the_schema_refuses_what_kserve_would(damage: dict[str, object]) -> None:
    _, item = yaml.safe_load_all(serving_manifest(load_profile("local"), "7", SOURCE, "d" * 64))
    with pytest.raises(ValueError, match="validation error"):
        validate_inference_service(item | damage)
