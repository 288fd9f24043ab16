"""The Kubeflow TrainJob of a training on several nodes: one pod per node, each runs `gift.launch.node_program`.

The runtime (`cluster.runtime`) brings what all jobs share: torch's rendezvous variables, security context, where
volumes are mounted, `backoffLimit: 0`. The job brings what the profile decides: nodes, image, resources, GPUs, where
its pods may run, the sizes of `/dev/shm` and `/work`, the volume of a vLLM server's weights, Secrets and queue.

The objects are those of the SDK's own API models. Its `TrainerClient.train` would not do: it takes variables with plain
values only, and Trainer refuses to patch the environment of the container `node`, so that the profile's Secrets could
not be named.
"""

from typing import Any

from kubeflow_trainer_api import models

from gift.config import ClusterConfig, ComputeConfig, RunConfig
from gift.config.surroundings import (
    SAMPLING_STAGES,
    VLLM_WEIGHTS,
    WEIGHTS_FOLDER,
    plain_variables,
    services_of_stage,
)
from gift.preflight.disk import TMP_GIB, work_gib
from gift.tracking.platform import KFP_SECRET, platform_secret_keys, variables_of_platform

API_VERSION = "trainer.kubeflow.org/v1alpha1"
CONTAINER = "node"
"""Trainer's name for the job and the container that train."""
SHARED_MEMORY = "shared-memory"
"""The runtime's volume at /dev/shm."""
WORK = "work"
"""The runtime's volume at /work."""
WEIGHTS = "vllm-weights"
"""The runtime's volume at `WEIGHTS_FOLDER`."""
LOGS_GIB = 1
"""Of a node's disk for a pod's logs."""
PATCHED_BY = "gift.kubeflow.org/stage"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RUN_LABEL = "gift.kubeflow.org/run"
"""The pipeline run that a TrainJob belongs to."""


def train_job(name: str, run_id: str, image: str, uri: str, config: RunConfig, stage: str) -> dict[str, Any]:
    """The TrainJob as Kubernetes takes it.

    Args:
        run_id: of the pipeline run; its last task cancels what is left of the run's TrainJobs.
        image: the one that the stage itself runs in.
        uri: directory in S3 with the `gift.launch.node_program.NodeJob`.
        stage: `train-sft` or `train-policy`.

    Raises:
        GiftError: the profile states neither its disk nor an architecture to estimate it from, or the nodes can't
            sign in to the MLflow server of the run that the platform has named.
    """
    cluster, compute = config.cluster, config.compute
    labels = {"app.kubernetes.io/part-of": "gift", RUN_LABEL: run_id}
    labels |= {QUEUE_LABEL: cluster.queue} if cluster.queue else {}
    work = work_gib(config, stage, "training")
    on_server = config.samples_on_server and stage in SAMPLING_STAGES
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
                resourcesPerNode=_resources(cluster, compute, work),
                env=_environment(config, stage, on_server=on_server),
            ),
            runtimePatches=[_patch(_pod_patch(cluster, compute, _volumes(cluster, work, on_server=on_server)))],
            activeDeadlineSeconds=round(cluster.training_timeout_hours * 3600),
        ),
    )
    plain: dict[str, Any] = job.to_dict()
    return plain


def _resources(cluster: ClusterConfig, compute: ComputeConfig, work: int) -> models.IoK8sApiCoreV1ResourceRequirements:
    """Requests equal limits, as for all stages. Kubernetes counts emptyDir volumes as ephemeral storage."""
    on_node = TMP_GIB + LOGS_GIB + (work if cluster.work_storage_class is None else 0)
    amounts = {
        "cpu": f"{cluster.training.cpu:g}",
        "memory": f"{round(cluster.training.memory_gib * 1024)}Mi",
        "ephemeral-storage": f"{on_node}Gi",
    }
    if compute.gpu is not None:
        amounts[cluster.gpu_resource] = str(compute.ranks // compute.nodes)
    quantities = {name: _quantity(value) for name, value in amounts.items()}
    return models.IoK8sApiCoreV1ResourceRequirements(requests=quantities, limits=quantities)


def _environment(config: RunConfig, stage: str, *, on_server: bool) -> list[models.IoK8sApiCoreV1EnvVar]:
    variables = [
        _from_secret(service.in_pod(key), service.secret, key, optional=key in service.optional)
        for service in services_of_stage(config, stage)
        if service.secret
        for key in service.variables
    ]
    variables += [_from_secret(name, KFP_SECRET, key, optional=False) for name, key in platform_secret_keys().items()]
    plain = {"HF_HUB_OFFLINE": "1"} | plain_variables(config) | variables_of_platform()
    plain |= {VLLM_WEIGHTS: WEIGHTS_FOLDER} if on_server else {}
    return variables + [models.IoK8sApiCoreV1EnvVar(name=name, value=value) for name, value in plain.items()]


def _from_secret(name: str, secret: str, key: str, *, optional: bool) -> models.IoK8sApiCoreV1EnvVar:
    reference = models.IoK8sApiCoreV1SecretKeySelector(name=secret, key=key, optional=optional or None)
    return models.IoK8sApiCoreV1EnvVar(name=name, valueFrom=models.IoK8sApiCoreV1EnvVarSource(secretKeyRef=reference))


def _volumes(cluster: ClusterConfig, work: int, *, on_server: bool) -> list[models.IoK8sApiCoreV1Volume]:
    """Each replaces the runtime's volume of the same name."""
    shared_memory = models.IoK8sApiCoreV1EmptyDirVolumeSource(
        medium="Memory", sizeLimit=_quantity(f"{round(cluster.shared_memory_gib * 1024)}Mi")
    )
    volumes = [models.IoK8sApiCoreV1Volume(name=SHARED_MEMORY, emptyDir=shared_memory)]
    if cluster.work_storage_class is None:
        on_node = models.IoK8sApiCoreV1EmptyDirVolumeSource(sizeLimit=_quantity(f"{work}Gi"))
        volumes.append(models.IoK8sApiCoreV1Volume(name=WORK, emptyDir=on_node))
    else:
        claim = models.IoK8sApiCoreV1PersistentVolumeClaimSpec(
            accessModes=["ReadWriteOnce"],
            storageClassName=cluster.work_storage_class,
            resources=models.IoK8sApiCoreV1VolumeResourceRequirements(requests={"storage": _quantity(f"{work}Gi")}),
        )
        template = models.IoK8sApiCoreV1PersistentVolumeClaimTemplate(spec=claim)
        own = models.IoK8sApiCoreV1EphemeralVolumeSource(volumeClaimTemplate=template)
        volumes.append(models.IoK8sApiCoreV1Volume(name=WORK, ephemeral=own))
    if on_server:
        weights = models.IoK8sApiCoreV1PersistentVolumeClaimVolumeSource(claimName=str(cluster.vllm_weights_claim))
        volumes.append(models.IoK8sApiCoreV1Volume(name=WEIGHTS, persistentVolumeClaim=weights))
    return volumes


def _pod_patch(
    cluster: ClusterConfig, compute: ComputeConfig, volumes: list[models.IoK8sApiCoreV1Volume]
) -> models.TrainerV1alpha1PodSpecPatch:
    """Merged into the runtime's pods."""
    if compute.gpu is None:
        return models.TrainerV1alpha1PodSpecPatch(volumes=volumes)
    return models.TrainerV1alpha1PodSpecPatch(
        volumes=volumes,
        nodeSelector=cluster.node_selector or None,
        tolerations=[
            models.IoK8sApiCoreV1Toleration(**toleration.model_dump(exclude_none=True))
            for toleration in cluster.tolerations
        ]
        or None,
    )


def _quantity(text: str) -> models.IoK8sApimachineryPkgApiResourceQuantity:
    return models.IoK8sApimachineryPkgApiResourceQuantity(text)


def _patch(pod: models.TrainerV1alpha1PodSpecPatch) -> models.TrainerV1alpha1RuntimePatch:
    """The pod's patch in the shells that Trainer wants around it: runtime, JobSet, job, pod template."""
    template = models.TrainerV1alpha1PodTemplatePatch(spec=pod)
    job = models.TrainerV1alpha1JobTemplatePatch(spec=models.TrainerV1alpha1JobSpecPatch(template=template))
    jobs = [models.TrainerV1alpha1ReplicatedJobPatch(name=CONTAINER, template=job)]
    job_set = models.TrainerV1alpha1JobSetTemplatePatch(spec=models.TrainerV1alpha1JobSetSpecPatch(replicatedJobs=jobs))
    runtime = models.TrainerV1alpha1TrainingRuntimeSpecPatch(template=job_set)
    return models.TrainerV1alpha1RuntimePatch(manager=PATCHED_BY, trainingRuntimeSpec=runtime)
