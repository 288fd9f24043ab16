"""What a stage's process gets from its surroundings: addresses and credentials, by the variables that hold them.

    run, stage ──> services ──> this machine's environment (Docker), or Secrets (tasks of KFP, nodes of a TrainJob)

One list for all runners, so that none forgets what another passes on. A stage that is a plain process on this machine
inherits all of it. Left out: the values, which only the surroundings know, and what a runner decides by itself (image,
folders, threads).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gift.config.run import RunConfig
from gift.errors import GiftError

TRAINING_STAGES = ("train-sft", "train-policy")
SAMPLING_STAGES = ("train-policy",)
DOWNLOADING_STAGES = ("prepare-data", "prepare-model", *TRAINING_STAGES)
"""Base model and data; training stages fetch reward models."""
TELLING_STAGES = ("register", "report", "finish-run")
"""What tells the webhook: of a new champion, the last stage of a run that succeeds, and the exit handler of one that
fails."""
OWN_PREFIX = "GIFT_"
"""Before the name of a variable that the platform may set in a pod, too."""
VLLM_SERVER = "GIFT_VLLM_SERVER"
VLLM_WEIGHTS = "GIFT_VLLM_WEIGHTS"
"""A folder that the ranks and a vLLM server see under the same path; needed when they don't share a machine."""
WEIGHTS_FOLDER = "/weights"
"""Where pods have the volume through which weights reach a vLLM server; the server's own pod, too."""


@dataclass(frozen=True)
class Service:
    """Something that stages talk to."""

    secret: str | None
    """The Secret of a cluster that has the variables as keys; None where the profile names none."""
    address: str
    """The variable with its address."""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    stages: tuple[str, ...] | None = None
    """Who talks to it; None for all."""
    pod_prefix: str = ""
    """Before the variables' names in a pod. Kubernetes refuses one that two sources give the same name."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Of this machine's environment, and the keys of the Secret."""
        return self.required + self.optional

    def in_pod(self, variable: str) -> str:
        """What the stage of a cluster knows a variable by."""
        return self.pod_prefix + variable


def services_of_run(config: RunConfig) -> tuple[Service, ...]:
    """All that a run's stages may talk to."""
    cluster = config.cluster
    services = [
        Service(
            cluster.s3_secret,
            address="AWS_ENDPOINT_URL_S3",
            required=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"),
            optional=("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        ),
        Service(
            cluster.mlflow_secret,
            address="MLFLOW_TRACKING_URI",
            required=("MLFLOW_TRACKING_URI",),
            optional=("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
            pod_prefix=OWN_PREFIX,  # KFP's MLflow plugin may set them
        ),
        Service(
            cluster.webhook_secret,
            address="GIFT_WEBHOOK_URL",
            required=("GIFT_WEBHOOK_URL",),
            stages=TELLING_STAGES,
        ),
    ]
    if cluster.hub:
        hub = Service(
            cluster.hub_secret, address="HF_ENDPOINT", optional=("HF_TOKEN", "HF_ENDPOINT"), stages=DOWNLOADING_STAGES
        )
        services.append(hub)
    if config.samples_on_server:
        server = Service(cluster.vllm_secret, address=VLLM_SERVER, required=(VLLM_SERVER,), stages=SAMPLING_STAGES)
        services.append(server)
    return tuple(services)


def services_of_stage(config: RunConfig, stage: str) -> tuple[Service, ...]:
    """Those that one stage talks to; its name is that of the pipeline's task, for example `train-policy`."""
    return tuple(service for service in services_of_run(config) if service.stages is None or stage in service.stages)


def plain_variables(config: RunConfig) -> dict[str, str]:
    """What is no secret and follows from the profile alone.

    The images are offline. The hub client's cache of chunks may take 10 GB of `/tmp`, as much as a pod has, and is of
    no use to a stage, which fetches a model once.
    """
    return {"HF_HUB_OFFLINE": "0", "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0"} if config.cluster.hub else {}


def check_cluster_services(config: RunConfig) -> None:
    """Raises: GiftError: a stage on a cluster would miss a Secret or a volume; the key that must name it is named."""
    if not config.samples_on_server:
        return
    needed = {
        "vllm_secret": f"the Secret with {VLLM_SERVER}",
        "vllm_weights_claim": "the PersistentVolumeClaim (ReadWriteMany) that the server mounts, too",
    }
    for key, what in needed.items():
        if getattr(config.cluster, key) is None:
            raise GiftError(f"rollout.vllm.placement is server, but cluster.{key} does not name {what}")


def check_server_address(config: RunConfig, environment: Mapping[str, str]) -> None:
    """Raises: GiftError: the stages inherit `environment`, and it does not say where the vLLM server is."""
    if not config.samples_on_server:
        return
    address = environment.get(VLLM_SERVER)
    if not address:
        raise GiftError(f"rollout.vllm.placement is server, but {VLLM_SERVER} does not say where it is")
    if not _is_address(address):
        raise GiftError(f"{VLLM_SERVER} is no address; set it to one like http://vllm:8000")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 address
        return False
