"""Training on several nodes, as the stage sees it: a job's description to S3, a TrainJob around it, its parts back.

    stage (a light pod) ── NodeJob ──> <storage>/runs/<run id>/nodes/<stage>/<digest>/job
          │                                       │ read by every node, which writes …/parts/node-<k>
          └── TrainJob ──> Kubeflow Trainer ──> nodes

Imported where it is needed only: Kubernetes' and Trainer's models take seconds to load.
"""

import hashlib
import os

from gift.config import digest_of
from gift.errors import GiftError
from gift.execution.stage import Stage, scratch_folder
from gift.launch.node_program import JOB_FILE, NodeJob
from gift.launch.train_job_api import TrainJobApi
from gift.launch.train_job_follow import cancel_train_jobs, run_train_job
from gift.launch.train_job_manifest import train_job
from gift.storage import upload_directory, whole_manifest

IMAGE_VARIABLE = "GIFT_IMAGE"
"""The image that this stage runs in, by digest; the nodes run in the same."""


def train_on_nodes(stage: Stage, module: str, data: str, model: str, resume_uri: str, own_uri: str) -> list[str]:
    """Train on `compute.nodes` nodes; returns the URIs of the parts of the checkpoint.

    Args:
        own_uri: prefix in S3 that belongs to this job; its name in Kubernetes follows from it, so that another attempt
            at the same work finds a job that still runs.

    Raises:
        GiftError: the job failed, for the reason that its nodes gave; or Kubernetes refuses it.
    """
    image = os.environ.get(IMAGE_VARIABLE)
    if not image:
        raise GiftError(f"{IMAGE_VARIABLE} does not name the nodes' image; pipelines that `gift compile` writes set it")
    job = NodeJob(
        module=module,
        config=stage.config,
        model=model,
        data=data,
        parts=f"{own_uri}/parts",
        resume=resume_uri,
        mlflow_run_id=stage.tracking.run_id,
    )
    parts = [job.part(node) for node in range(stage.config.compute.nodes)]
    if stage.patiently(lambda: all(whole_manifest(part) for part in parts)):
        return parts  # an earlier attempt got so far, and its job is gone
    stage.patiently(lambda: _store(job, f"{own_uri}/job"))
    name = f"gift-{digest_of(own_uri)[:12]}"
    manifest = train_job(name, stage.run_id, image, f"{own_uri}/job", stage.config, stage.name)
    run_train_job(TrainJobApi.connect(), manifest)
    return parts


def cancel_training(run_id: str) -> None:
    """Delete the TrainJobs that a run leaves behind whose stages were killed without a word.

    Raises:
        GiftError: Kubernetes refuses, or is away for too long.
    """
    cancel_train_jobs(TrainJobApi.connect(), run_id)


def _store(job: NodeJob, uri: str) -> None:
    """Written once: nodes of a job that still runs may be reading it."""
    content = job.model_dump_json().encode()
    manifest = whole_manifest(uri)
    if manifest is None or [file.sha256 for file in manifest.files] != [hashlib.sha256(content).hexdigest()]:
        with scratch_folder() as folder:
            (folder / JOB_FILE).write_bytes(content)
            upload_directory(folder, uri, replace=True)
