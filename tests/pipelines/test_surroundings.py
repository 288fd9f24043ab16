"""What stages get from their surroundings is the same list in every runner, whatever a run uses of it."""

from types import SimpleNamespace

import pytest

from gift.config import RunConfig, load_profile
from gift.config.surroundings import services_of_run, services_of_stage
from gift.errors import GiftError
from gift.launch.train_job_manifest import train_job
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.lint.ir import Task, parse_pipeline
from pipelines.local.docker_environment import container_environment

pytestmark = pytest.mark.slow

IMAGE = "registry.example.com/gift@sha256:" + "0" * 64
ALL = (
    "cluster.hub=true",
    "cluster.hub_secret=own-hub",
    "cluster.webhook_secret=own-webhook",
    "cluster.vllm_secret=own-vllm",
    "cluster.vllm_weights_claim=own-weights",
    "rollout.engine=vllm",
    "rollout.vllm.placement=server",
)
RUNS = {"nothing but the least": (), "everything": ALL}


@pytest.fixture(params=RUNS)
def config(request: pytest.FixtureRequest) -> RunConfig:
    return load_profile("local", RUNS[request.param])


def wanted(config: RunConfig, stage: str) -> set[tuple[str, str]]:
    """The variables, and the keys of the Secrets that they come from."""
    services = [service for service in services_of_stage(config, stage) if service.secret]
    return {(service.in_pod(key), key) for service in services for key in service.variables}


def kfp_tasks(config: RunConfig) -> dict[str, Task]:
    pipeline = parse_pipeline(compile_pipeline(config, IMAGE))
    return {task.spec["taskInfo"]["name"]: task for task in pipeline.containers}


def test_a_task_of_kfp_gets_all_that_its_stage_talks_to_from_secrets(config: RunConfig) -> None:
    for stage, task in kfp_tasks(config).items():
        entries = [key for secret in task.pod["secretAsEnv"] for key in secret["keyToEnv"]]
        assert sorted((entry["envVar"], entry["secretKey"]) for entry in entries) == sorted(wanted(config, stage))
        assert not [entry for entry in entries if entry["envVar"].startswith("MLFLOW_")]  # those are KFP's to set


@pytest.mark.parametrize("stage", ["train-sft", "train-policy"])
def test_a_node_of_a_train_job_gets_what_the_same_stage_gets_as_a_task(config: RunConfig, stage: str) -> None:
    (task,) = [task for name, task in kfp_tasks(config).items() if name == stage]
    secrets = {key["envVar"] for secret in task.pod["secretAsEnv"] for key in secret["keyToEnv"]}
    plain = {variable["name"]: variable["value"] for variable in task.container["env"]}
    job = train_job("gift-x", "run", IMAGE, "s3://gift/job", config, stage)
    environment = job["spec"]["trainer"]["env"]
    assert {entry["name"] for entry in environment if "valueFrom" in entry} == secrets
    told = {entry["name"]: entry["value"] for entry in environment if "value" in entry}
    assert {"HF_HUB_OFFLINE": "1"} | plain == told | {"GIFT_IMAGE_DIGEST": plain["GIFT_IMAGE_DIGEST"]}


def test_a_container_on_this_machine_gets_every_variable_that_is_set(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {name for service in services_of_run(load_profile("local", ALL)) for name in service.variables}
    for name in every:
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.setenv("GIFT_VLLM_WEIGHTS", "/some/folder")
    environment = container_environment(config, SimpleNamespace(id="sha256:0"))
    used = {name for service in services_of_run(config) for name in service.variables}
    assert {name for name in environment if name in every} == used
    assert ("GIFT_VLLM_WEIGHTS" in environment) == config.samples_on_server


@pytest.mark.parametrize(
    ("without", "refused"),
    [
        ("cluster.hub=true", "hub_secret is for hub: true"),
        ("rollout.engine=vllm", "placement: server is for engine: vllm"),
        ("rollout.vllm.placement=server", "cluster.vllm_secret is for a run that samples with"),
    ],
)
def test_an_option_that_a_run_takes_no_notice_of_is_refused(without: str, refused: str) -> None:
    with pytest.raises(GiftError, match=refused):
        load_profile("local", [setting for setting in ALL if setting != without])


def test_responses_of_a_data_set_need_no_server_but_looks_at_heldout_problems_do() -> None:
    offline = (
        "data={source: jsonl, train_file: a, heldout_file: b, scored_file: c}",
        "algorithm=dpo",
        "rl.groups=dataset",
    )
    engine = ("rollout.engine=vllm", "rollout.vllm.placement=server")
    assert not load_profile("local", (*offline, *engine)).samples_on_server
    assert load_profile("local", (*offline, *engine, "rl.heldout_every=5")).samples_on_server
