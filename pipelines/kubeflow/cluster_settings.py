"""What every stage asks of Kubernetes: `config.cluster`, written onto the tasks when the pipeline is compiled.

All of it is fixed at compile time, because KFP leaves dangling references for limits that are pipeline parameters.

KFP's caching is off for every stage. Stages that make something find it by the digest of all that decides it
(`gift.execution.stage`), and a tracker, a registry or a champion that has moved on is nothing that KFP's key knows:
KFP would skip opening the MLflow run, a gate that compares with a new champion, or training a new policy.

The limit of `/work` is the dry run's estimate. It ends a pod that fills it, before others on its node suffer, and
reserves nothing: KFP 2.17 knows no request for ephemeral storage. With `cluster.work_storage_class` each stage that
holds a model gets a volume of that size instead, and does not start without it.

Left out, because kfp-kubernetes can't set it: a read-only root, fsGroup, priority and runtime classes. The images run
with a read-only root, and the two folders that they write to are mounted here; whoever wants it enforced does so with
KFP's COMPILED_PIPELINE_SPEC_PATCH or an admission policy. KFP itself drops all capabilities, forbids privilege
escalation and sets the seccomp profile. Which pods Argo starts again is also out of reach: as KFP 2.17 configures it,
those that were deleted and none that failed (manifests/README.md, step 9, changes that).
"""

from kfp import kubernetes
from kfp.dsl import PipelineTask

from gift.config import ClusterConfig, Resources, RunConfig
from gift.config.surroundings import (
    SAMPLING_STAGES,
    TRAINING_STAGES,
    VLLM_WEIGHTS,
    WEIGHTS_FOLDER,
    plain_variables,
    services_of_stage,
)
from gift.preflight.disk import LARGE_STAGES, TMP_GIB, ResourceKind, work_gib
from pipelines.post_training import Place

MODEL = tuple(stage for stage in LARGE_STAGES if stage not in TRAINING_STAGES)
EVALUATION = ("evaluate-base", "evaluate-sft", "evaluate-candidate", "evaluate-champion")

USER = 1000
"""The images' user and group."""
BACKOFF_SECONDS = 60
QUEUE_SECONDS = 30 * 24 * 3600
"""How long the attempts of a stage may wait for a node, together."""
TMP, WORK = "/tmp", "/work"  # noqa: S108
"""The images' folders for small and large temporary files."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108


def cluster_placement(config: RunConfig, image: str) -> Place:
    """How to place the run's stages, all in `image` (`registry/name@sha256:…`)."""
    cluster = config.cluster

    def place(task: PipelineTask, stage: str) -> None:
        submits = stage in TRAINING_STAGES and config.compute.nodes > 1  # the pods of its TrainJob do the work
        task.set_display_name(stage)
        kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "gift")
        kubernetes.add_pod_label(task, "app.kubernetes.io/component", stage)
        task.set_caching_options(False)
        _set_image(task, image)
        kind = _kind(stage, submits)
        if submits:
            work_gib(config, stage, "training")  # of its nodes; what is unknown is said now, not when they start
        _set_resources(task, getattr(cluster, kind))
        _set_environment(task, config, stage, image, submits=submits)
        if config.samples_on_server and stage in SAMPLING_STAGES and not submits:
            _set_weights(task, cluster)
        _set_work(task, cluster.work_storage_class if kind != "light" else None, work_gib(config, stage, kind))
        if stage in TRAINING_STAGES + MODEL:
            _set_shared_memory(task, cluster.shared_memory_gib)
        _set_limits_of_time(task, cluster, stage, queues=submits)
        if not submits:
            _set_gpus(task, config, stage)

    return place


def _kind(stage: str, submits: bool) -> ResourceKind:
    if stage in TRAINING_STAGES and not submits:
        return "training"
    return "model" if stage in MODEL else "light"


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
    """All ranks of the node for training, one GPU or vLLM's for evaluation; none where the profile has no
    `compute.gpu`."""
    if config.compute.gpu is None or stage not in TRAINING_STAGES + EVALUATION:
        return
    task.set_accelerator_type(config.cluster.gpu_resource)
    task.set_accelerator_limit(config.compute.ranks if stage in TRAINING_STAGES else config.evaluation.gpus)
    for label, value in config.cluster.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in config.cluster.tolerations:
        kubernetes.add_toleration(task, toleration.key, toleration.operator, toleration.value, toleration.effect)


def _set_environment(task: PipelineTask, config: RunConfig, stage: str, image: str, *, submits: bool) -> None:
    """Credentials and addresses come from Secrets; the rest is no secret. What only the nodes of a TrainJob talk to
    is not given to the task that submits it."""
    for service in services_of_stage(config, stage):
        if service.secret is None or (submits and service.stages):
            continue
        for names, optional in ((service.required, False), (service.optional, True)):
            if names:
                variables = {name: service.in_pod(name) for name in names}
                kubernetes.use_secret_as_env(task, service.secret, variables, optional=optional)
    task.set_env_variable("GIFT_IMAGE_DIGEST", image.rpartition("@")[2])
    for name, value in plain_variables(config).items():
        task.set_env_variable(name, value)
    if submits:
        task.set_env_variable("GIFT_IMAGE", image)  # its nodes run in the same


def _set_work(task: PipelineTask, storage_class: str | None, gib: int) -> None:
    kubernetes.empty_dir_mount(task, "tmp", TMP, size_limit=f"{TMP_GIB}Gi")
    if storage_class is None:
        kubernetes.empty_dir_mount(task, "work", WORK, size_limit=f"{gib}Gi")
    else:
        kubernetes.add_ephemeral_volume(task, "work", WORK, ["ReadWriteOnce"], f"{gib}Gi", storage_class)


def _set_shared_memory(task: PipelineTask, gib: float) -> None:
    size = f"{round(gib * 1024)}Mi"
    kubernetes.empty_dir_mount(task, "shared-memory", SHARED_MEMORY, medium="Memory", size_limit=size)


def _set_weights(task: PipelineTask, cluster: ClusterConfig) -> None:
    """The folder through which weights reach a vLLM server."""
    kubernetes.mount_pvc(task, pvc_name=str(cluster.vllm_weights_claim), mount_path=WEIGHTS_FOLDER)
    task.set_env_variable(VLLM_WEIGHTS, WEIGHTS_FOLDER)


def _set_limits_of_time(task: PipelineTask, cluster: ClusterConfig, stage: str, *, queues: bool) -> None:
    """The timeout is that of each attempt. A stage that only submits a TrainJob also waits for it in the queue; the
    job itself has the training's own limit, from when it starts.

    KFP's `backoff_max_duration` is no pause: Argo counts it from when the first attempt is made, waiting for a node
    included, and then ends the last attempt and makes no more. KFP's default of an hour would undo most retries.
    """
    hours = cluster.training_timeout_hours if stage in TRAINING_STAGES else cluster.stage_timeout_hours
    timeout = round(hours * 3600) + (QUEUE_SECONDS if queues else 0)
    kubernetes.set_timeout(task, timeout)
    if cluster.retries:
        window = (cluster.retries + 1) * timeout + QUEUE_SECONDS
        task.set_retry(cluster.retries, f"{BACKOFF_SECONDS}s", backoff_factor=2, backoff_max_duration=f"{window}s")
