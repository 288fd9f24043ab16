"""The Kubeflow TrainJob of a training on several nodes: one pod per node, each runs `gift.launch.node_program`.

The runtime (`cluster.runtime`) brings what all jobs share: torch's rendezvous variables, security context, volumes,
`backoffLimit: 0`. The job brings what the profile decides: nodes, image, resources, GPUs, where its pods may run, the
size of `/dev/shm`, Secrets and queue.

The objects are those of the SDK's own API models. Its `TrainerClient.train` would not do: it takes variables with plain
values only, and Trainer refuses to patch the environment of the container `node`, so that the profile's Secrets could
not be named.
"""

from typing import Any

from kubeflow_trainer_api import models

from gift.config import ClusterConfig, ComputeConfig, RunConfig

API_VERSION = "trainer.kubeflow.org/v1alpha1"
CONTAINER = "node"
"""Trainer's name for the job and the container that train."""
SHARED_MEMORY = "shared-memory"
"""The runtime's volume at /dev/shm."""
PATCHED_BY = "gift.kubeflow.org/stage"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RUN_LABEL = "gift.kubeflow.org/run"
"""The pipeline run that a TrainJob belongs to."""
S3_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3")
S3_OPTIONAL = ("AWS_DEFAULT_REGION",)
MLFLOW_VARIABLES = ("MLFLOW_TRACKING_URI",)
MLFLOW_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def train_job(name: str, run_id: str, image: str, uri: str, config: RunConfig) -> dict[str, Any]:
    """The TrainJob as Kubernetes takes it.

    Args:
        run_id: of the pipeline run; its last task cancels what is left of the run's TrainJobs.
        image: the one that the stage itself runs in.
        uri: directory in S3 with the `gift.launch.node_program.NodeJob`.
    """
    cluster, compute = config.cluster, config.compute
    labels = {"app.kubernetes.io/part-of": "gift", RUN_LABEL: run_id}
    labels |= {QUEUE_LABEL: cluster.queue} if cluster.queue else {}
    job = models.TrainerV1alpha1TrainJob(
        apiVersion=API_VERSION,
        kind="TrainJob",
        metadata=models.IoK8sApimachineryPkgApisMetaV1ObjectMeta(name=name, labels=labels),
        spec=models.TrainerV1alpha1TrainJobSpec(
            runtimeRef=models.TrainerV1alpha1RuntimeRef(name=cluster.runtime, kind="ClusterTrainingRuntime"),
            trainer=models.TrainerV1alpha1Trainer(
                image=image,
                command=["python", "-m", "gift.launch.node_program", uri],
                numNodes=compute.nodes,
                numProcPerNode=compute.ranks // compute.nodes,
                resourcesPerNode=_resources(cluster, compute),
                env=_environment(cluster),
            ),
            runtimePatches=[_patch(_pod_patch(cluster, compute))],
            activeDeadlineSeconds=round(cluster.training_timeout_hours * 3600),
        ),
    )
    plain: dict[str, Any] = job.to_dict()
    return plain


def _resources(cluster: ClusterConfig, compute: ComputeConfig) -> models.IoK8sApiCoreV1ResourceRequirements:
    """Requests equal limits, as for all stages."""
    amounts = {
        "cpu": f"{cluster.training.cpu:g}",
        "memory": f"{round(cluster.training.memory_gib * 1024)}Mi",
    }
    if compute.gpu is not None:
        amounts[cluster.gpu_resource] = str(compute.ranks // compute.nodes)
    quantities = {name: models.IoK8sApimachineryPkgApiResourceQuantity(value) for name, value in amounts.items()}
    return models.IoK8sApiCoreV1ResourceRequirements(requests=quantities, limits=quantities)


def _environment(cluster: ClusterConfig) -> list[models.IoK8sApiCoreV1EnvVar]:
    secrets = [(name, cluster.s3_secret, False) for name in S3_VARIABLES]
    secrets += [(name, cluster.s3_secret, True) for name in S3_OPTIONAL]
    secrets += [(name, cluster.mlflow_secret, False) for name in MLFLOW_VARIABLES]
    secrets += [(name, cluster.mlflow_secret, True) for name in MLFLOW_LOGIN]
    variables = [
        models.IoK8sApiCoreV1EnvVar(
            name=name,
            valueFrom=models.IoK8sApiCoreV1EnvVarSource(
                secretKeyRef=models.IoK8sApiCoreV1SecretKeySelector(name=secret, key=name, optional=optional or None)
            ),
        )
        for name, secret, optional in secrets
    ]
    offline = models.IoK8sApiCoreV1EnvVar(name="HF_HUB_OFFLINE", value="0" if cluster.hub else "1")
    return [*variables, offline]


def _pod_patch(cluster: ClusterConfig, compute: ComputeConfig) -> models.TrainerV1alpha1PodSpecPatch:
    """Merged into the runtime's pods; a volume replaces the one of the same name."""
    shared_memory = models.IoK8sApiCoreV1Volume(
        name=SHARED_MEMORY,
        emptyDir=models.IoK8sApiCoreV1EmptyDirVolumeSource(
            medium="Memory",
            sizeLimit=models.IoK8sApimachineryPkgApiResourceQuantity(f"{round(cluster.shared_memory_gib * 1024)}Mi"),
        ),
    )
    if compute.gpu is None:
        return models.TrainerV1alpha1PodSpecPatch(volumes=[shared_memory])
    return models.TrainerV1alpha1PodSpecPatch(
        volumes=[shared_memory],
        nodeSelector=cluster.node_selector or None,
        tolerations=[
            models.IoK8sApiCoreV1Toleration(**toleration.model_dump(exclude_none=True))
            for toleration in cluster.tolerations
        ]
        or None,
    )


def _patch(pod: models.TrainerV1alpha1PodSpecPatch) -> models.TrainerV1alpha1RuntimePatch:
    """The pod's patch in the shells that Trainer wants around it: runtime, JobSet, job, pod template."""
    template = models.TrainerV1alpha1PodTemplatePatch(spec=pod)
    job = models.TrainerV1alpha1JobTemplatePatch(spec=models.TrainerV1alpha1JobSpecPatch(template=template))
    jobs = [models.TrainerV1alpha1ReplicatedJobPatch(name=CONTAINER, template=job)]
    job_set = models.TrainerV1alpha1JobSetTemplatePatch(spec=models.TrainerV1alpha1JobSetSpecPatch(replicatedJobs=jobs))
    runtime = models.TrainerV1alpha1TrainingRuntimeSpecPatch(template=job_set)
    return models.TrainerV1alpha1RuntimePatch(manager=PATCHED_BY, trainingRuntimeSpec=runtime)
