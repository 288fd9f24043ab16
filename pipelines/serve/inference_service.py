"""A KServe InferenceService for one model version, and the ServiceAccount through which it reads S3, as YAML.

KServe's `kserve-huggingfaceserver` answers OpenAI's requests with vLLM. Its init container copies the checkpoint from
S3, with the keys of the Secret that the ServiceAccount names (the same one that a run's pods have); where S3 is, it
reads from that Secret's annotations. Left out: canaries and autoscaling, which belong to who runs the service.
"""

import re
from typing import Any

import yaml

from gift import registry
from gift.config import RunConfig
from gift.errors import GiftError

RUNTIME = "kserve-huggingfaceserver"
"""A ClusterServingRuntime that KServe brings along."""
ACCOUNT = "gift-serving"
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
LONGEST_NAME = 53
"""Characters: KServe puts `-predictor` after it, and Kubernetes takes 63."""


def serving_manifest(config: RunConfig, version: str, source: str, digest: str) -> str:
    """YAML for `kubectl apply`: that version of `config.registered_model`, with what the profile asks of the cluster.

    Args:
        source: `s3://…` of the folder with its files.
        digest: of their contents.

    Raises:
        GiftError: no Kubernetes object can have a name like that of the model.
    """
    return yaml.safe_dump_all(
        [_service_account(config), _inference_service(config, version, source, digest)], sort_keys=False
    )


def service_name(model: str) -> str:
    """The model's name as Kubernetes allows it; the same for all its versions, so that one takes another's place.

    Raises:
        GiftError: nothing is left of it, or it is too long.
    """
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if not re.fullmatch(rf"[a-z][a-z0-9-]{{0,{LONGEST_NAME - 1}}}", name):
        raise GiftError(
            f"no InferenceService can be called {name!r} (from {model!r}): it must begin with a letter a-z and have at "
            f"most {LONGEST_NAME} characters; register the model under another name"
        )
    return name


def _service_account(config: RunConfig) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT},
        "secrets": [{"name": config.cluster.s3_secret}],
        "automountServiceAccountToken": False,
    }


def _inference_service(config: RunConfig, version: str, source: str, digest: str) -> dict[str, Any]:
    name, gpus = service_name(config.registered_model), _gpus(config)
    resources = {"cpu": f"{config.cluster.model.cpu:g}", "memory": f"{config.cluster.model.memory_gib:g}Gi"}
    on_gpus: dict[str, Any] = {}
    if gpus:
        resources[config.cluster.gpu_resource] = str(gpus)
        tolerations = [toleration.model_dump(exclude_none=True) for toleration in config.cluster.tolerations]
        on_gpus = {"nodeSelector": dict(config.cluster.node_selector), "tolerations": tolerations}
    model = {
        "modelFormat": {"name": "huggingface"},
        "runtime": RUNTIME,
        "storageUri": source,
        "args": [
            f"--model_name={config.registered_model}",
            "--backend=vllm",
            f"--max_model_len={config.model.context_length}",
            f"--dtype={DTYPES[config.evaluation.precision]}",
            *([f"--tensor-parallel-size={gpus}"] if gpus > 1 else []),
        ],
        "resources": {"requests": resources, "limits": dict(resources)},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/version": version},
            "annotations": {registry.MODEL_DIGEST_TAG: digest},
        },
        "spec": {
            "predictor": {
                "serviceAccountName": ACCOUNT,
                "minReplicas": 1,
                "maxReplicas": 1,
                **{key: value for key, value in on_gpus.items() if value},
                "model": model,
            }
        },
    }


def _gpus(config: RunConfig) -> int:
    """As many as rollouts with vLLM share a model over."""
    return config.rollout.vllm.tensor_parallel if config.compute.gpu else 0
