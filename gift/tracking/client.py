"""The requests that we make of MLflow, one method each, with the names of MLflow's own client.

Lists are cut into as many requests as MLflow's limits ask for, and answers in pages are put together.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gift.tracking.entities import (
    Metric,
    MlflowExperiment,
    ModelVersion,
    RegisteredModel,
    Run,
    pairs,
    read_metric,
    read_model_version,
    read_pairs,
    read_run,
)
from gift.tracking.rest import MlflowError, Rest

MAX_METRICS_PER_REQUEST = 1000  # mlflow.utils.validation.MAX_METRICS_PER_BATCH
MAX_PAIRS_PER_REQUEST = 100  # mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH
RUNS_PER_PAGE = 1000
METRICS_PER_PAGE = 25_000  # mlflow.store.tracking.GET_METRIC_HISTORY_MAX_RESULTS


class MlflowClient:
    """A connection to the server in MLFLOW_TRACKING_URI; every method raises `MlflowError`.

    Not for several threads at once.
    """

    def __init__(self) -> None:
        """Raises: GiftError: the settings in the environment can't be used."""
        self.rest = Rest()

    # --- experiments and runs ---

    def get_experiment_by_name(self, name: str) -> MlflowExperiment | None:
        """None where there is none; a deleted one is found, too."""
        try:
            answer = self.rest.get("experiments/get-by-name", experiment_name=name)["experiment"]
        except MlflowError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return MlflowExperiment(answer["experiment_id"], answer["lifecycle_stage"])

    def search_experiments(self) -> list[str]:
        """The ids of all that are not deleted."""
        pages = _pages(lambda token: self.rest.post("experiments/search", max_results=RUNS_PER_PAGE, **token))
        return [experiment["experiment_id"] for page in pages for experiment in page.get("experiments", [])]

    def create_experiment(self, name: str) -> None:
        self.rest.post("experiments/create", name=name)

    def create_run(self, experiment_id: str, run_name: str, tags: Mapping[str, str]) -> Run:
        answer = self.rest.post(
            "runs/create", experiment_id=experiment_id, run_name=run_name, start_time=_now(), tags=pairs(tags)
        )
        return read_run(answer["run"])

    def get_run(self, run_id: str) -> Run:
        return read_run(self.rest.get("runs/get", run_id=run_id)["run"])

    def search_runs(self, experiment_id: str, condition: str, order_by: Sequence[str] = ()) -> Iterator[Run]:
        """The runs that are not deleted, without `order_by` the newest first."""
        wanted = {"experiment_ids": [experiment_id], "filter": condition, "order_by": order_by}
        pages = _pages(lambda token: self.rest.post("runs/search", **wanted, max_results=RUNS_PER_PAGE, **token))
        return (read_run(run) for page in pages for run in page.get("runs", []))

    def update_run(self, run_id: str, status: str) -> None:
        self.rest.post("runs/update", run_id=run_id, status=status)

    def set_terminated(self, run_id: str, status: str) -> None:
        self.rest.post("runs/update", run_id=run_id, status=status, end_time=_now())

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        for part in _chunks(pairs(params), MAX_PAIRS_PER_REQUEST):
            self.rest.post("runs/log-batch", run_id=run_id, params=part)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        for part in _chunks(pairs(tags), MAX_PAIRS_PER_REQUEST):
            self.rest.post("runs/log-batch", run_id=run_id, tags=part)

    def delete_tag(self, run_id: str, key: str) -> None:
        self.rest.post("runs/delete-tag", run_id=run_id, key=key)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """MLflow stores NaN as NaN, and ±inf as ±1.8e308."""
        for part in _chunks([_metric(metric) for metric in metrics], MAX_METRICS_PER_REQUEST):
            self.rest.post("runs/log-batch", run_id=run_id, metrics=part)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        wanted = {"run_id": run_id, "metric_key": key, "max_results": METRICS_PER_PAGE}
        pages = _pages(lambda token: self.rest.get("metrics/get-history", **wanted, **token))
        return [read_metric(metric) for page in pages for metric in page.get("metrics", [])]

    def log_dataset(self, run_id: str, dataset: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """`dataset` has name, digest, source_type and source."""
        self.rest.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": pairs(tags)}])

    # --- registered models ---

    def create_registered_model(self, name: str, tags: Mapping[str, str]) -> None:
        self.rest.post("registered-models/create", name=name, tags=pairs(tags))

    def get_registered_model(self, name: str) -> RegisteredModel:
        answer = self.rest.get("registered-models/get", name=name)["registered_model"]
        aliases = {entry["alias"]: str(entry["version"]) for entry in answer.get("aliases", [])}
        return RegisteredModel(answer["name"], aliases, read_pairs(answer.get("tags", [])))

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.rest.post("registered-models/set-tag", name=name, key=key, value=value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        self.rest.delete("registered-models/delete-tag", name=name, key=key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.rest.post("registered-models/alias", name=name, alias=alias, version=version)

    def search_model_versions(self, condition: str) -> list[ModelVersion]:
        pages = _pages(lambda token: self.rest.get("model-versions/search", filter=condition, **token))
        return [read_model_version(version) for page in pages for version in page.get("model_versions", [])]

    def create_model_version(
        self, name: str, source: str, run_id: str, tags: Mapping[str, str], description: str
    ) -> ModelVersion:
        answer = self.rest.post(
            "model-versions/create",
            name=name,
            source=source,
            run_id=run_id,
            tags=pairs(tags),
            description=description,
        )
        return read_model_version(answer["model_version"])

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        return read_model_version(self.rest.get("model-versions/get", name=name, version=version)["model_version"])

    def update_model_version(self, name: str, version: str, description: str) -> None:
        self.rest.patch("model-versions/update", name=name, version=version, description=description)

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self.rest.post("model-versions/set-tag", name=name, version=version, key=key, value=value)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self.rest.delete("model-versions/delete-tag", name=name, version=version, key=key)


def _pages(fetch: Callable[[dict[str, str]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All pages of a listing; `fetch` gets the token of the page, and none for the first."""
    token: dict[str, str] = {}
    while True:
        page = fetch(token)
        yield page
        if not page.get("next_page_token"):
            return
        token = {"page_token": page["next_page_token"]}


def _chunks(entries: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _metric(metric: Metric) -> dict[str, Any]:
    """JSON has no numbers for NaN and ±inf; MLflow takes protobuf's names for them."""
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return {
        "key": metric.key,
        "value": names.get(str(metric.value), metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
    }


def _now() -> int:
    return int(time.time() * 1000)
