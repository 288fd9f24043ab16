"""What a cluster is given: the whole of it against golden files, and by meaning, for every profile.

After an intended change: `GIFT_WRITE_GOLDEN=1 python -m pytest <this file>`, then read the diff.
"""

import difflib
import functools
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gift.config import load_profile, parse_config, profile_names
from gift.errors import GiftError
from gift.preflight.disk import estimate_disk, known_shapes
from gift.preflight.memory import GIB
from pipelines.cli.main import app
from pipelines.kubeflow.cluster_settings import QUEUE_SECONDS
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.lint.ir import CompiledPipeline, Task, parse_pipeline

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example.com/team/gift@sha256:" + "0123456789abcdef" * 4
STAGES = {
    "start-run",
    "prepare-data",
    "prepare-model",
    "train-sft",
    "convert-sft",
    "train-policy",
    "convert-candidate",
    "evaluate-base",
    "evaluate-sft",
    "evaluate-candidate",
    "evaluate-champion",
    "gate",
    "register",
    "report",
    "finish-run",
}
HOLDS_A_MODEL = {stage for stage in STAGES if stage.startswith(("prepare-model", "train", "convert", "evaluate"))}


@functools.cache
def compiled(profile: str, *overrides: str) -> CompiledPipeline:
    return parse_pipeline(compile_pipeline(load_profile(profile, overrides), IMAGE))


def stages(pipeline: CompiledPipeline) -> dict[str, Task]:
    return {task.spec["taskInfo"]["name"]: task for task in pipeline.containers}


def secrets(task: Task) -> dict[str, tuple[str, bool]]:
    """Environment variable → its Secret and whether it may be missing."""
    return {
        key["envVar"]: (secret["secretNameParameter"]["runtimeValue"]["constant"], secret.get("optional", False))
        for secret in task.pod["secretAsEnv"]
        for key in secret["keyToEnv"]
    }


def gpus(pipeline: CompiledPipeline) -> dict[str, tuple[str, int]]:
    return {
        name: (accelerator["resourceType"], int(accelerator["resourceCount"]))
        for name, task in stages(pipeline).items()
        if (accelerator := task.container["resources"].get("accelerator"))
    }


@pytest.mark.parametrize("profile", profile_names())
def test_a_cluster_is_given_what_the_golden_file_says(profile: str) -> None:
    path = GOLDEN / f"{profile}.yaml"
    text = compiled(profile).text
    if os.environ.get("GIFT_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    golden = path.read_text(encoding="utf-8")
    # The configuration is one long line: one key a line shows which has changed.
    lines = [version.replace(',"', ',\n"').splitlines() for version in (golden, text)]
    difference = "\n".join(difflib.unified_diff(*lines, "golden", "compiled", lineterm="", n=2))
    assert not difference, f"{path.name} differs (if that is intended, see the top of this file):\n{difference}"


def test_golden_files_are_those_of_the_profiles() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(profile_names())


@pytest.mark.parametrize("profile", profile_names())
def test_every_stage_is_placed(profile: str) -> None:
    config, placed = load_profile(profile), stages(compiled(profile))
    assert set(placed) == STAGES
    for name, task in placed.items():
        resources, pod = task.container["resources"], task.pod
        assert task.container["image"] == IMAGE
        assert pod["imagePullPolicy"] == "IfNotPresent"
        assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"]
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"]
        assert pod["securityContext"] == {"runAsUser": "1000", "runAsGroup": "1000", "runAsNonRoot": True}
        assert task.spec["cachingOptions"].get("enableCache") is not True
        assert pod["podMetadata"]["labels"]["app.kubernetes.io/component"] == name
        mounts = {mount["mountPath"]: mount for mount in pod["emptyDirMounts"]}
        assert {"/tmp", "/work"} <= set(mounts)
        assert all("sizeLimit" in mount for mount in mounts.values())
        assert ("/dev/shm" in mounts) == (name in HOLDS_A_MODEL)
        if name in HOLDS_A_MODEL:
            size = f"{round(config.cluster.shared_memory_gib * 1024)}Mi"
            assert mounts["/dev/shm"] == {
                "mountPath": "/dev/shm",
                "volumeName": "shared-memory",
                "medium": "Memory",
                "sizeLimit": size,
            }


def test_stages_get_the_resources_of_their_kind() -> None:
    pipeline = compiled("qwen2.5-7b-gsm8k", "cluster.light={cpu: 0.5, memory_gib: 1.5}")
    memory = {name: task.container["resources"]["resourceMemoryLimit"] for name, task in stages(pipeline).items()}
    training, model = {"train-sft", "train-policy"}, HOLDS_A_MODEL - {"train-sft", "train-policy"}
    assert {memory[name] for name in training} == {f"{320 * 1024}Mi"}
    assert {memory[name] for name in model} == {f"{48 * 1024}Mi"}
    assert {memory[name] for name in STAGES - HOLDS_A_MODEL} == {"1536Mi"}


@pytest.mark.parametrize("profile", profile_names())
def test_every_attempt_has_its_time_and_retries_are_not_cut_off(profile: str) -> None:
    config = load_profile(profile)
    cluster = config.cluster
    for name, task in stages(compiled(profile)).items():
        queued = QUEUE_SECONDS if name.startswith("train") and config.compute.nodes > 1 else 0
        hours = cluster.training_timeout_hours if name.startswith("train") else cluster.stage_timeout_hours
        timeout, policy = int(task.pod["activeDeadlineSeconds"]), task.spec["retryPolicy"]
        assert timeout == hours * 3600 + queued
        assert policy["maxRetryCount"] == cluster.retries
        # Argo counts it from the first attempt, and KFP's default of an hour would end a training's second attempt.
        assert int(policy["backoffMaxDuration"].removesuffix("s")) > (cluster.retries + 1) * timeout


def test_a_profile_without_retries_has_none() -> None:
    assert all("retryPolicy" not in task.spec for task in stages(compiled("local", "cluster.retries=0")).values())


EVALUATIONS = {"evaluate-base", "evaluate-sft", "evaluate-candidate", "evaluate-champion"}


@pytest.mark.parametrize("profile", profile_names())
def test_gpus_are_asked_for_where_they_are_used(profile: str) -> None:
    compute, counts = load_profile(profile).compute, gpus(compiled(profile))
    if compute.gpu is None:
        assert counts == {}
    else:
        training = {} if compute.nodes > 1 else dict.fromkeys(("train-sft", "train-policy"), compute.ranks)
        expected = training | dict.fromkeys(EVALUATIONS, 1)
        assert counts == {stage: ("nvidia.com/gpu", count) for stage, count in expected.items()}


def test_stages_with_gpus_go_to_their_nodes_and_others_do_not() -> None:
    pipeline = compiled("qwen2.5-7b-rlhf")
    tolerates = {name for name, task in stages(pipeline).items() if "tolerations" in task.pod}
    selects = {name for name, task in stages(pipeline).items() if "nodeSelector" in task.pod}
    assert tolerates == selects == set(gpus(pipeline))
    pod = stages(pipeline)["train-policy"].pod
    assert pod["nodeSelector"]["labels"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def test_with_several_nodes_the_training_task_only_submits() -> None:
    task = stages(compiled("qwen2.5-32b-dapo"))["train-policy"]
    assert "accelerator" not in task.container["resources"]
    assert task.container["resources"]["resourceMemoryLimit"] == f"{4 * 1024}Mi"
    assert "nodeSelector" not in task.pod
    assert {"name": "GIFT_IMAGE", "value": IMAGE} in task.container["env"]


def test_credentials_come_from_secrets_only() -> None:
    pipeline = compiled("local", "cluster.webhook_secret=gift-webhook")
    s3 = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"), ("gift-s3", False))
    s3 |= dict.fromkeys(("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"), ("gift-s3", True))
    mlflow = {"GIFT_MLFLOW_TRACKING_URI": ("gift-mlflow", False)}
    login = {f"GIFT_MLFLOW_TRACKING_{name}": ("gift-mlflow", True) for name in ("USERNAME", "PASSWORD", "TOKEN")}
    for name, task in stages(pipeline).items():
        webhook = {"GIFT_WEBHOOK_URL": ("gift-webhook", False)} if name in ("register", "report", "finish-run") else {}
        assert secrets(task) == s3 | mlflow | login | webhook
        assert task.container["env"] == [{"name": "GIFT_IMAGE_DIGEST", "value": IMAGE.partition("@")[2]}]


def test_nothing_of_the_environment_gets_into_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "AWS_ACCESS_KEY_ID": "AKIAABCDEFGHIJKLMNOP",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
        "AWS_ENDPOINT_URL_S3": "http://store.internal",
        "MLFLOW_TRACKING_URI": "http://me:secret-of-the-tracker@mlflow.internal",
        "GIFT_WEBHOOK_URL": "http://hooks.internal/secret-path",
        "GIFT_VLLM_SERVER": "http://vllm.internal",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    text = compile_pipeline(load_profile("local", ("cluster.webhook_secret=gift-webhook",)), IMAGE)
    assert not [value for value in values.values() if value in text]
    assert "GIFT_VLLM_SERVER" not in text


def test_only_a_profile_that_says_so_reaches_the_hub() -> None:
    def offline(*overrides: str) -> set[str | None]:
        environments = [task.container["env"] for task in stages(compiled("local", *overrides)).values()]
        return {next((v["value"] for v in e if v["name"] == "HF_HUB_OFFLINE"), None) for e in environments}

    assert offline() == {None}
    assert offline("cluster.hub=true") == {"0"}


ON_SERVER = (
    "rollout.engine=vllm",
    "rollout.vllm.placement=server",
    "cluster.vllm_secret=own-vllm",
    "cluster.vllm_weights_claim=own-weights",
)


def test_what_samples_on_a_server_gets_its_address_and_the_volume_for_its_weights() -> None:
    for name, task in stages(compiled("local", *ON_SERVER)).items():
        samples = name == "train-policy"
        assert secrets(task).get("GIFT_VLLM_SERVER") == (("own-vllm", False) if samples else None)
        folders = [variable["value"] for variable in task.container["env"] if variable["name"] == "GIFT_VLLM_WEIGHTS"]
        claims = [
            (mount["pvcNameParameter"]["runtimeValue"]["constant"], mount["mountPath"])
            for mount in task.pod.get("pvcMount", [])
        ]
        assert claims == ([("own-weights", folders[0])] if samples else [])
        assert len(folders) == samples


@pytest.mark.parametrize("key", ["vllm_secret", "vllm_weights_claim"])
def test_a_server_that_stages_could_not_reach_is_refused(key: str) -> None:
    settings = [setting for setting in ON_SERVER if key not in setting]
    with pytest.raises(GiftError, match=rf"placement is server, but cluster\.{key} does not name") as error:
        compile_pipeline(load_profile("local", settings), IMAGE)
    assert "\n" not in str(error.value)


def test_the_hubs_token_goes_to_what_may_download_and_to_nothing_else() -> None:
    pipeline = compiled("local", "cluster.hub=true", "cluster.hub_secret=own-hub")
    told = {name for name, task in stages(pipeline).items() if "HF_TOKEN" in secrets(task)}
    assert told == {"prepare-data", "prepare-model", "train-sft", "train-policy"}
    assert secrets(stages(pipeline)["prepare-model"])["HF_TOKEN"] == ("own-hub", True)
    assert secrets(stages(pipeline)["prepare-model"])["HF_ENDPOINT"] == ("own-hub", True)


def test_the_task_that_submits_a_training_gets_nothing_that_only_its_nodes_use() -> None:
    pipeline = compiled("local", *ON_SERVER, "compute.nodes=2", "cluster.hub=true", "cluster.hub_secret=own-hub")
    for name in ("train-sft", "train-policy"):
        task = stages(pipeline)[name]
        assert not {"HF_TOKEN", "GIFT_VLLM_SERVER"} & set(secrets(task))
        assert "pvcMount" not in task.pod


def work(task: Task) -> str:
    (mount,) = [mount for mount in task.pod["emptyDirMounts"] if mount["mountPath"] == "/work"]
    return str(mount["sizeLimit"])


@pytest.mark.parametrize("profile", profile_names())
def test_work_is_as_large_as_the_dry_run_says(profile: str) -> None:
    config = load_profile(profile)
    shapes = known_shapes(config)
    assert shapes is not None
    estimate = {stage: math.ceil(sum(parts.values()) / GIB) for stage, parts in estimate_disk(config, *shapes).items()}
    submits = {"train-sft", "train-policy"} if config.compute.nodes > 1 else set()
    for name, task in stages(compiled(profile)).items():
        if name in estimate.keys() - submits:
            assert work(task) == f"{estimate[name]}Gi"
        else:
            assert work(task) in ("2Gi", "4Gi")  # no model


def test_a_stated_size_of_work_overrides_the_estimate() -> None:
    pipeline = compiled("local", "cluster.training.work_gib=70", "cluster.model.work_gib=30")
    sizes = {name: work(task) for name, task in stages(pipeline).items()}
    training = {"train-sft", "train-policy"}
    assert {name for name, size in sizes.items() if size == "70Gi"} == training
    assert {name for name, size in sizes.items() if size == "30Gi"} == HOLDS_A_MODEL - training


def test_a_model_of_unknown_architecture_needs_a_stated_size() -> None:
    unknown = "model={source: hub, name: a/b, revision: '" + "0" * 40 + "'}"
    with pytest.raises(GiftError, match=r"state cluster\.model\.work_gib, or the architecture"):
        compile_pipeline(load_profile("local", (unknown,)), IMAGE)
    stated = ("cluster.model.work_gib=30", "cluster.training.work_gib=70")
    assert work(stages(compiled("local", unknown, *stated))["train-policy"]) == "70Gi"
    with pytest.raises(GiftError, match=r"train-sft .* state cluster\.training\.work_gib"):
        compile_pipeline(load_profile("local", (unknown, stated[0], "compute.nodes=2")), IMAGE)


def test_a_storage_class_gives_each_stage_with_a_model_a_volume_of_its_own() -> None:
    for name, task in stages(compiled("local", "cluster.work_storage_class=fast-ssd")).items():
        on_node = {mount["mountPath"] for mount in task.pod["emptyDirMounts"]}
        if name not in HOLDS_A_MODEL:
            assert "/work" in on_node
            continue
        assert "/work" not in on_node
        (volume,) = task.pod["genericEphemeralVolume"]
        assert (volume["mountPath"], volume["size"]) == ("/work", "2Gi")
        assert (volume["storageClassName"], volume["accessModes"]) == ("fast-ssd", ["ReadWriteOnce"])


@pytest.mark.parametrize("profile", profile_names())
def test_the_configuration_travels_whole_and_the_run_id_is_that_of_each_run(profile: str) -> None:
    pipeline = compiled(profile)
    assert set(pipeline.defaults) == set(pipeline.spec["root"]["inputDefinitions"]["parameters"]) == {"config"}
    assert parse_config(pipeline.defaults["config"]) == load_profile(profile)
    for task in stages(pipeline).values():
        assert task.parameters["run_id"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}


def test_the_run_is_closed_however_it_ends() -> None:
    finish = stages(compiled("local"))["finish-run"]
    assert finish.spec["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert finish.parameters["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


def stages_before(pipeline: CompiledPipeline, stage: str) -> set[str]:
    """All stages that this one waits for."""
    tasks = {task.name: (name, task) for name, task in stages(pipeline).items()}
    direct = {tasks[name][0] for name in stages(pipeline)[stage].spec.get("dependentTasks", []) if name in tasks}
    return direct.union(*(stages_before(pipeline, other) for other in direct))


TRAINING = {"train-sft", "convert-sft", "train-policy", "convert-candidate"}


@pytest.mark.parametrize("profile", profile_names())
def test_evaluations_are_beside_the_training_where_they_take_no_gpu_of_it(profile: str) -> None:
    pipeline, beside = compiled(profile), load_profile(profile).compute.gpu is None
    assert bool(stages_before(pipeline, "evaluate-base") & TRAINING) is not beside
    assert stages_before(pipeline, "gate") >= TRAINING | EVALUATIONS


def test_a_profile_says_whether_evaluations_are_beside_the_training() -> None:
    beside = compiled("qwen2.5-7b-gsm8k", "cluster.evaluate_beside_training=true")
    assert stages_before(beside, "evaluate-base") == {"start-run", "prepare-data", "prepare-model"}
    assert stages_before(beside, "evaluate-sft") & TRAINING == {"train-sft", "convert-sft"}
    after = compiled("local", "cluster.evaluate_beside_training=false")
    assert stages_before(after, "evaluate-base") >= TRAINING
    for pipeline in (beside, after):
        assert stages_before(pipeline, "evaluate-candidate") >= TRAINING | {"evaluate-base", "evaluate-sft"}
        assert not any(stages_before(pipeline, stage) & EVALUATIONS for stage in TRAINING)


def test_finished_runs_are_removed_after_their_time() -> None:
    def pipeline_config(*overrides: str) -> dict[str, Any]:
        documents = list(yaml.safe_load_all(compiled("local", *overrides).text))
        return documents[1]["platforms"]["kubernetes"].get("pipelineConfig", {})

    assert pipeline_config("cluster.time_to_live_hours=2") == dict.fromkeys(
        ("resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"), 7200
    )
    assert pipeline_config("cluster.time_to_live_hours=null") == {}


@pytest.mark.parametrize(
    "image", ["gift", "registry.example.com/gift:v1", "gift@sha256:1234", "gift@sha512:" + "0" * 64]
)
def test_an_image_without_digest_is_refused(image: str) -> None:
    with pytest.raises(GiftError, match="must be named by its digest"):
        compile_pipeline(load_profile("local"), image)


def test_the_command_writes_a_pipeline_that_lint_passes(tmp_path: Path) -> None:
    output = tmp_path / "new folder" / "pipeline.yaml"
    result = CliRunner().invoke(app, ["compile", "--profile", "local", "--image", IMAGE, "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert [path.name for path in output.parent.iterdir()] == ["pipeline.yaml"]
    assert json.loads(parse_pipeline(output.read_text()).defaults["config"])["registered_model"] == "gift-local"
    assert "needs       the Secrets gift-s3, gift-mlflow in the namespace" in result.output
    assert CliRunner().invoke(app, ["lint", str(output)]).exit_code == 0


def test_the_command_names_everything_that_the_cluster_must_have(tmp_path: Path) -> None:
    output = tmp_path / "pipeline.yaml"
    settings = (
        "rollout.vllm={placement: server}",
        "cluster.vllm_secret=my-vllm",
        "cluster.vllm_weights_claim=my-weights",
        "cluster.hub=true",
        "cluster.hub_secret=my-hub",
        "cluster.webhook_secret=my-webhook",
    )
    sets = [word for setting in settings for word in ("--set", setting)]
    arguments = ["compile", "--profile", "qwen2.5-7b-gsm8k", "--image", IMAGE, "-o", str(output), *sets]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "the Secrets gift-s3, gift-mlflow, my-webhook, my-hub, my-vllm in the namespace" in result.output
    assert "the PersistentVolumeClaim my-weights" in result.output


def test_the_command_writes_nothing_that_lint_refuses(tmp_path: Path) -> None:
    output = tmp_path / "pipeline.yaml"
    output.write_text("the last good one")
    secret = "description=pushes to https://user:hunter2@example.com"
    arguments = ["compile", "--profile", "local", "--image", IMAGE, "-o", str(output), "--set", secret]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "[plain-secret] parameter config" in result.output
    assert "hunter2" not in result.output
    assert output.read_text() == "the last good one"
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]
