"""What every stage asks of Kubernetes: `config.cluster`, written onto the tasks when the pipeline is compiled.

All of it is fixed at compile time, because KFP leaves dangling references for limits that are pipeline parameters.

KFP's caching is off for every stage. Stages that make something find it by the digest of all that decides it
(`gift.stages.stage`), and a tracker, a registry or a champion that has moved on is nothing that KFP's key knows:
KFP would skip opening the MLflow run, a gate that compares with a new champion, or training a new policy.

Left out, because kfp-kubernetes can't set it: a read-only root, fsGroup, priority and runtime classes. The images run
with a read-only root, and the two folders that they write to are mounted here; whoever wants it enforced does so with
KFP's COMPILED_PIPELINE_SPEC_PATCH or an admission policy. KFP itself drops all capabilities, forbids privilege
escalation and sets the seccomp profile. Which pods Argo starts again is also out of reach: as KFP 2.17 configures it,
those that were deleted and none that failed (manifests/README.md, step 9, changes that).
"""

from kfp import kubernetes
from kfp.dsl import PipelineTask

from gift.config import ClusterConfig, Resources, RunConfig
from pipelines.post_training import Place

TRAINING = ("train-sft", "train-policy")
MODEL = ("prepare-model", "convert-sft", "convert-candidate", "evaluate-base", "evaluate-sft", "evaluate-candidate")
EVALUATION = ("evaluate-base", "evaluate-sft", "evaluate-candidate")

USER = 1000
"""The images' user and group."""
BACKOFF_SECONDS = 60
QUEUE_SECONDS = 30 * 24 * 3600
"""How long the attempts of a stage may wait for a node, together."""
WRITABLE = {"tmp": "/tmp", "work": "/work"}  # noqa: S108
"""The images' folders for small and large temporary files."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108
S3_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3")
S3_OPTIONAL = ("AWS_DEFAULT_REGION",)
MLFLOW_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def cluster_placement(config: RunConfig, image: str) -> Place:
    """How to place the run's stages, all in `image` (`registry/name@sha256:…`)."""
    cluster = config.cluster

    def place(task: PipelineTask, stage: str) -> None:
        submits = stage in TRAINING and config.compute.nodes > 1  # the pods of its TrainJob do the work
        task.set_display_name(stage)
        kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "gift")
        kubernetes.add_pod_label(task, "app.kubernetes.io/component", stage)
        task.set_caching_options(False)
        _set_image(task, image)
        _set_resources(task, _resources(cluster, stage, submits))
        _set_environment(task, cluster, stage, image)
        if submits:
            task.set_env_variable("GIFT_IMAGE", image)  # its nodes run in the same
        _set_volumes(task, cluster.shared_memory_gib if stage in TRAINING + MODEL else None)
        _set_limits_of_time(task, cluster, stage, queues=submits)
        if not submits:
            _set_gpus(task, config, stage)

    return place


def _resources(cluster: ClusterConfig, stage: str, submits: bool) -> Resources:
    if stage in TRAINING and not submits:
        return cluster.training
    return cluster.model if stage in MODEL else cluster.light


def _set_image(task: PipelineTask, image: str) -> None:
    task.set_container_image(image)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")  # what a digest names never changes
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)


def _set_resources(task: PipelineTask, resources: Resources) -> None:
    """Requests equal limits: a pod that is scheduled has what it needs, and is the last to be evicted."""
    cpu, memory = f"{resources.cpu:g}", f"{round(resources.memory_gib * 1024)}Mi"
    task.set_cpu_request(cpu).set_cpu_limit(cpu)
    task.set_memory_request(memory).set_memory_limit(memory)


def _set_gpus(task: PipelineTask, config: RunConfig, stage: str) -> None:
    """All ranks of the node for training, one GPU for evaluation; none where the profile has no `compute.gpu`."""
    if config.compute.gpu is None or stage not in TRAINING + EVALUATION:
        return
    task.set_accelerator_type(config.cluster.gpu_resource)
    task.set_accelerator_limit(config.compute.ranks if stage in TRAINING else 1)
    for label, value in config.cluster.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in config.cluster.tolerations:
        kubernetes.add_toleration(task, toleration.key, toleration.operator, toleration.value, toleration.effect)


def _set_environment(task: PipelineTask, cluster: ClusterConfig, stage: str, image: str) -> None:
    """Credentials and addresses come from Secrets; the rest is no secret."""
    kubernetes.use_secret_as_env(task, cluster.s3_secret, {name: name for name in S3_VARIABLES})
    kubernetes.use_secret_as_env(task, cluster.s3_secret, {name: name for name in S3_OPTIONAL}, optional=True)
    kubernetes.use_secret_as_env(task, cluster.mlflow_secret, {"MLFLOW_TRACKING_URI": "MLFLOW_TRACKING_URI"})
    kubernetes.use_secret_as_env(task, cluster.mlflow_secret, {name: name for name in MLFLOW_LOGIN}, optional=True)
    if stage == "finish-run" and cluster.webhook_secret:
        kubernetes.use_secret_as_env(task, cluster.webhook_secret, {"GIFT_WEBHOOK_URL": "GIFT_WEBHOOK_URL"})
    task.set_env_variable("GIFT_IMAGE_DIGEST", image.rpartition("@")[2])
    if cluster.hub:
        task.set_env_variable("HF_HUB_OFFLINE", "0")  # the images' default is 1


def _set_volumes(task: PipelineTask, shared_memory_gib: float | None) -> None:
    for name, path in WRITABLE.items():
        kubernetes.empty_dir_mount(task, name, path)
    if shared_memory_gib is not None:
        size = f"{round(shared_memory_gib * 1024)}Mi"
        kubernetes.empty_dir_mount(task, "shared-memory", SHARED_MEMORY, medium="Memory", size_limit=size)


def _set_limits_of_time(task: PipelineTask, cluster: ClusterConfig, stage: str, *, queues: bool) -> None:
    """The timeout is that of each attempt. A stage that only submits a TrainJob also waits for it in the queue; the
    job itself has the training's own limit, from when it starts.

    KFP's `backoff_max_duration` is no pause: Argo counts it from when the first attempt is made, waiting for a node
    included, and then ends the last attempt and makes no more. KFP's default of an hour would undo most retries.
    """
    hours = cluster.training_timeout_hours if stage in TRAINING else cluster.stage_timeout_hours
    timeout = round(hours * 3600) + (QUEUE_SECONDS if queues else 0)
    kubernetes.set_timeout(task, timeout)
    if cluster.retries:
        window = (cluster.retries + 1) * timeout + QUEUE_SECONDS
        task.set_retry(cluster.retries, f"{BACKOFF_SECONDS}s", backoff_factor=2, backoff_max_duration=f"{window}s")
