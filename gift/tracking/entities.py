"""What MLflow's answers hold, as far as we read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One value of one metric."""

    key: str
    value: float
    timestamp: int
    """Milliseconds since 1970."""
    step: int


@dataclass(frozen=True)
class MlflowExperiment:
    experiment_id: str
    lifecycle_stage: str
    """active or deleted"""


@dataclass(frozen=True)
class Run:
    run_id: str
    experiment_id: str
    status: str
    """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED"""
    start_time: int
    """Milliseconds since 1970."""
    end_time: int | None
    """The same; of the last time that it ended, also while it goes on again."""
    artifact_uri: str
    params: dict[str, str]
    metrics: dict[str, float]
    """The last value of each."""
    tags: dict[str, str]


@dataclass(frozen=True)
class RegisteredModel:
    name: str
    aliases: dict[str, str]
    """alias → version"""
    tags: dict[str, str]


@dataclass(frozen=True)
class ModelVersion:
    version: str
    source: str
    """Where the model is, as it was given when it was registered."""
    tags: dict[str, str]
    created: datetime


def read_metric(answer: dict[str, Any]) -> Metric:
    """NaN comes as a string."""
    value, step = float(answer["value"]), int(answer.get("step", 0))
    return Metric(answer["key"], value, int(answer["timestamp"]), step)


def read_run(answer: dict[str, Any]) -> Run:
    info, data = answer["info"], answer.get("data", {})
    return Run(
        run_id=info["run_id"],
        experiment_id=info["experiment_id"],
        status=info["status"],
        start_time=int(info.get("start_time", 0)),
        end_time=int(info["end_time"]) if info.get("end_time") else None,
        artifact_uri=info.get("artifact_uri", ""),
        params=read_pairs(data.get("params", [])),
        metrics={entry["key"]: float(entry["value"]) for entry in data.get("metrics", [])},
        tags=read_pairs(data.get("tags", [])),
    )


def read_model_version(answer: dict[str, Any]) -> ModelVersion:
    created = datetime.fromtimestamp(int(answer["creation_timestamp"]) / 1000, UTC)
    return ModelVersion(str(answer["version"]), answer.get("source", ""), read_pairs(answer.get("tags", [])), created)


def read_pairs(entries: list[dict[str, str]]) -> dict[str, str]:
    """MLflow's tags and parameters; an empty value is left out of its JSON."""
    return {entry["key"]: entry.get("value", "") for entry in entries}


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The same in the other direction."""
    return [{"key": key, "value": value} for key, value in values.items()]
