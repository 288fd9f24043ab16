"""What the stages ask of a Kubernetes cluster: resources, where they may run, for how long, and whom they may reach.

It decides nothing about the result: two runs that differ only here give the same models. Everything is fixed when the
pipeline is compiled, because KFP leaves dangling references for limits that are pipeline parameters.

Left out: the image (its digest is known when the pipeline is compiled, not when the profile is written), and the values
of Secrets, which only the cluster knows.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gift.config.section import HOURS_OF_A_YEAR, Gib, Hours, Section

IMAGE_BY_DIGEST = r"^[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}$"
"""What a cluster is told to run: a tag may name another image tomorrow."""
_DNS_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_WORD = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
KubernetesName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$", max_length=253)]
"""A DNS subdomain of RFC 1123, which Kubernetes asks of the names of most objects."""
QueueName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$", max_length=63)]
"""The same in a label, as Kueue reads it."""
LabelKey = Annotated[str, Field(pattern=f"^({_SUBDOMAIN}/)?{_WORD}$", max_length=200)]
"""Kubernetes takes 317 characters; MLflow 250 of a parameter's name, in which a node selector's key is a part."""
LabelValue = Annotated[str, Field(pattern=f"^({_WORD})?$")]
PodGib = Annotated[Gib, Field(ge=2**-10)]
"""Kubernetes is told whole MiB."""
ResourceName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}/{_WORD}$", max_length=253)]
"""An extended resource always names its vendor's domain."""


class Resources(Section):
    """What one container asks for and may not exceed."""

    cpu: Annotated[float, Field(ge=0.001, le=100_000)]
    memory_gib: PodGib
    work_gib: PodGib | None = None
    """Disk of `/work`, for inputs and outputs on their way; None takes the dry run's estimate."""


class Toleration(Section):
    """A taint that pods of this run accept, in Kubernetes' words."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def exists_whatever_its_value(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"operator: Exists takes no value; for the value {self.value} write operator: Equal")
        return self


class ClusterConfig(Section):
    """The run's pods on Kubernetes."""

    light: Resources = Resources(cpu=2, memory_gib=4)
    """Stages that hold no model: start, data, gate, registration, report."""
    model: Resources = Resources(cpu=4, memory_gib=24)
    """Stages that hold one model in memory: base model, conversion, evaluation."""
    training: Resources = Resources(cpu=8, memory_gib=48)
    """A training stage; with several nodes, each of them."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """The extended resource that counts GPUs; how many follows from `compute` (a profile with `compute.gpu`)."""
    shared_memory_gib: PodGib = 8
    """`/dev/shm` of stages with ranks or vLLM; it counts as memory of the container."""
    work_storage_class: KubernetesName | None = None
    """StorageClass of a volume of its own for each pod's `/work`; None for the node's disk, which KFP can't reserve."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """For stages with GPUs."""
    tolerations: tuple[Toleration, ...] = ()
    """For stages with GPUs."""
    s3_secret: KubernetesName = "gift-s3"  # noqa: S105 (the name of a Secret, not its value)
    """Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3; `gift.config.surroundings` has the
    keys that it and the other Secrets may have besides."""
    mlflow_secret: KubernetesName = "gift-mlflow"  # noqa: S105
    """Secret with MLFLOW_TRACKING_URI, and its user name and password where the server asks for them."""
    webhook_secret: KubernetesName | None = None
    """Secret with GIFT_WEBHOOK_URL, which is told how a run ended."""
    hub_secret: KubernetesName | None = None
    """Secret with HF_TOKEN, for models that the hub does not give to everybody, and HF_ENDPOINT for another hub."""
    vllm_secret: KubernetesName | None = None
    """Secret with GIFT_VLLM_SERVER, for `rollout.vllm.placement: server`."""
    vllm_weights_claim: KubernetesName | None = None
    """PersistentVolumeClaim (ReadWriteMany) that training and that server have at the same path, for its weights."""
    service_account: KubernetesName | None = None
    """Account of the pods of `gift run --runner cluster`; None leaves it to KFP. A schedule names its own."""
    training_timeout_hours: Hours = 48
    stage_timeout_hours: Hours = 6
    """Every stage but training."""
    evaluate_beside_training: bool | None = None
    """Whether base and SFT model are evaluated beside the trainings, so that a run holds two pods at once. None: only
    without `compute.gpu`, as an evaluation that got one of the training's GPUs would hold it up."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a failed stage starts again; a training goes on from its newest checkpoint."""
    service_wait_minutes: Annotated[float, Field(ge=0, le=60 * HOURS_OF_A_YEAR)] = 10
    """How long a stage waits for MLflow and S3 that don't answer, at its start and at its end; 0 for not at all. On one
    machine it waits as long with what it has made, and else for seconds."""
    time_to_live_hours: Annotated[int, Field(gt=0, le=HOURS_OF_A_YEAR)] | None = 168
    """When the pods of a finished run are removed; None leaves it to the platform, and KFP says an hour. Above a day,
    KFP's persistence agent must be told, too (docs/operations.md)."""
    hub: bool = False
    """Whether stages may download models and data sets; else they are offline and everything comes from S3."""
    queue: QueueName | None = None
    """Kueue LocalQueue of a training on several nodes."""
    runtime: KubernetesName = "gift-deepspeed"
    """ClusterTrainingRuntime of a training on several nodes."""

    @model_validator(mode="after")
    def hub_secret_is_used(self) -> Self:
        if self.hub_secret and not self.hub:
            raise ValueError("hub_secret is for hub: true; an offline run takes no notice of it")
        return self
