"""What a training stage hands to its ranks: one JSON file, read by every rank."""

from pathlib import Path

from pydantic import ValidationError

from gift.config import RunConfig, Section
from gift.errors import GiftError


class ResumeSettings(Section):
    """Where a job leaves what it can go on from; see `gift.training.resume`."""

    uri: str
    """S3 prefix that belongs to this job and to what decides its result."""
    folder: Path
    """Local folder that the ranks of a node share, not there yet: a checkpoint on its way to S3 or from there."""


class TrainingJob(Section):
    """Folders are local; the stage fetched them and uploads the weights afterwards."""

    config: RunConfig
    model: Path
    """Hugging Face folder that training starts from (and, in RL, stays close to)."""
    data: Path
    """Folder with sft.jsonl and train.jsonl."""
    checkpoint: Path
    """Folder that receives the trained weights."""
    mlflow_run_id: str
    """Where rank 0 logs metrics."""
    metric_spool: Path
    """Where metrics wait while the tracking server is away."""
    resume: ResumeSettings


def read_job(path: Path) -> TrainingJob:
    """Raises: GiftError: the file is not a training job."""
    try:
        return TrainingJob.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise GiftError(f"training job {path} can't be read: {error}") from error
