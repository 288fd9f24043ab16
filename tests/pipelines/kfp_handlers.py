"""What each call of KFP's API does to the content of `kfp_server.KfpServer`, as KFP 2.17's source has it.

Bodies are read into, and answers written from, the models that KFP publishes.
"""

import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from types import SimpleNamespace
from typing import Any

import kfp_server_api as models

PAGE = 2
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
MODELS = models.ApiClient()


class Refused(Exception):  # noqa: N818
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Call:
    query: dict[str, str]
    headers: Any
    body: bytes
    id: str = ""
    second_id: str = ""

    def read(self, model: str) -> Any:
        return MODELS.deserialize(SimpleNamespace(data=self.body.decode()), model)

    def uploaded(self) -> str:
        form = message_from_bytes(b"Content-Type: " + self.headers["content-type"].encode() + b"\r\n\r\n" + self.body)
        (part,) = form.get_payload()
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        return str(part.get_payload(decode=True).decode())


def _new_id() -> str:
    return str(uuid.uuid4())


def _now(count: int) -> datetime:
    """KFP keeps whole seconds; each thing here is made one later."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=count)


def _get(items: dict[str, Any], key: str) -> Any:
    if key not in items:
        raise Refused(404, f"{key} not found")
    return items[key]


def _page(items: list[Any], call: Call) -> dict[str, Any]:
    if "filter" in call.query:
        for predicate in json.loads(call.query["filter"])["predicates"]:
            assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
            items = [item for item in items if item.display_name == predicate["string_value"]]
    start = int(call.query.get("page_token") or 0)
    end = start + min(int(call.query["page_size"]), PAGE)
    return {"items": items[start:end], "next_page_token": str(end) if end < len(items) else ""}


def _listing(model: Any, field_name: str, items: Callable[[Any, Call], list[Any]]) -> Callable[..., Any]:
    def handle(server: Any, call: Call) -> Any:
        page = _page(items(server, call), call)
        return model(**{field_name: page["items"]}, next_page_token=page["next_page_token"])

    return handle


def _unique(items: dict[str, Any], name: str) -> None:
    if any(item.display_name == name for item in items.values()):
        raise Refused(409, f"{name} already exists")


def _create_experiment(server: Any, call: Call) -> Any:
    experiment = call.read("V2beta1Experiment")
    _unique(server.experiments, experiment.display_name)
    experiment.experiment_id = _new_id()
    server.experiments[experiment.experiment_id] = experiment
    return experiment


def _create_pipeline(server: Any, call: Call) -> Any:
    pipeline = call.read("V2beta1Pipeline")
    _unique(server.pipelines, pipeline.display_name)
    pipeline.pipeline_id = _new_id()
    server.pipelines[pipeline.pipeline_id] = pipeline
    return pipeline


def _upload_version(server: Any, call: Call) -> Any:
    pipeline = _get(server.pipelines, call.query["pipelineid"])
    _unique(_versions_of(server, pipeline.pipeline_id), call.query["name"])
    version = models.V2beta1PipelineVersion(
        pipeline_id=pipeline.pipeline_id,
        pipeline_version_id=_new_id(),
        name=call.query["name"],
        display_name=call.query["name"],
        description=call.query.get("description"),
        pipeline_spec={"text": call.uploaded()},
    )
    server.versions[version.pipeline_version_id] = version
    return version


def _versions_of(server: Any, pipeline_id: str) -> dict[str, Any]:
    return {key: version for key, version in server.versions.items() if version.pipeline_id == pipeline_id}


def _create_recurring_run(server: Any, call: Call) -> Any:
    run = call.read("V2beta1RecurringRun")
    if not run.display_name or not 1 <= int(run.max_concurrency or 0) <= 10:
        raise Refused(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
    if len(run.description or "") > 255:
        raise Refused(500, "Data too long for column 'Description'")
    _get(server.experiments, run.experiment_id)
    _get(server.versions, run.pipeline_version_reference.pipeline_version_id)
    run.recurring_run_id, run.created_at = _new_id(), _now(len(server.history))
    run.service_account = run.service_account or "pipeline-runner"  # as KFP's defaultPipelineRunnerServiceAccount
    run.mode = "ENABLE" if run.mode == "ENABLE" else "DISABLE"
    run.status = run.mode + "D"
    server.recurring_runs[run.recurring_run_id] = run
    return run


def _switch(mode: str) -> Callable[..., Any]:
    def handle(server: Any, call: Call) -> dict[str, Any]:
        run = _get(server.recurring_runs, call.id)
        if not server.switches or call.id in server.without_resource:
            raise Refused(500, f"Failed to change recurring run's {call.id} mode")
        run.mode, run.status = mode, mode + "D"
        return {}

    return handle


def _delete_recurring_run(server: Any, call: Call) -> dict[str, Any]:
    _get(server.recurring_runs, call.id)
    del server.recurring_runs[call.id]
    if call.query.get("propagation_policy") != "ORPHAN":
        server.runs = {key: run for key, run in server.runs.items() if run.recurring_run_id != call.id}
    return {}


def _create_run(server: Any, call: Call) -> Any:
    run = call.read("V2beta1Run")
    run.run_id, run.state, run.created_at = _new_id(), "PENDING", _now(len(server.history))
    run.service_account = run.service_account or "pipeline-runner"
    server.runs[run.run_id] = run
    server.on_run(run.run_id)
    return run


def _get_run(server: Any, call: Call) -> Any:
    run = _get(server.runs, call.id)
    if run.state == "CANCELING":
        run.state = server.terminating.pop(0)  # the answer to this request, and the state from now on
    elif server.progress and run.state not in ENDED:
        run.state, tasks = server.progress[0] if len(server.progress) == 1 else server.progress.pop(0)
        details = [
            models.V2beta1PipelineTaskDetail(task_id=name, run_id=run.run_id, display_name=name, state=state)
            for name, state in tasks.items()
        ]
        run.run_details = models.V2beta1RunDetails(task_details=details)
    return run


def workflow_node(task: str, phase: str, message: str = "", attempt: int | None = 0) -> dict[str, Any]:
    """A node of an Argo Workflow that is a pod: an attempt at a task, or with None the only one (a driver's)."""
    name = f"gift-post-training-x7k2p.root.exit-handler-1.{task}"
    if not task.endswith("-driver"):
        name += ".executor" if attempt is None else f".executor({attempt})"
    number = str(zlib.crc32(name.encode()))
    return {
        "id": f"gift-post-training-x7k2p-{number}",
        "name": name,
        "displayName": name.rpartition(".")[2],
        "type": "Pod",
        "templateName": "retry-system-container-impl",
        "phase": phase,
        "message": message,
        "startedAt": f"2026-01-01T00:0{attempt or 0}:00Z",
    }


def pod_name(node: dict[str, Any]) -> str:
    return f"gift-post-training-x7k2p-{node['templateName']}-{node['id'].rpartition('-')[2]}"


def _get_run_v1(server: Any, call: Call) -> dict[str, Any]:
    """Only what nothing but KFP's older API has: the Workflow, as text."""
    _get(server.runs, call.id)
    if not server.workflows:
        return {"run": {"id": call.id}, "pipeline_runtime": {}}
    nodes = server.workflows[0] if len(server.workflows) == 1 else server.workflows.pop(0)
    metadata = {"name": "gift-post-training-x7k2p", "namespace": "kubeflow"}
    workflow = {"metadata": metadata, "status": {"nodes": {node["id"]: node for node in nodes}}}
    return {"run": {"id": call.id}, "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)}}


def _read_log(server: Any, call: Call) -> str:
    return "<!doctype html>" if server.behind_pages else _log(server, call.second_id)


def _read_log_through_pages(server: Any, call: Call) -> str:
    if not server.behind_pages:
        raise Refused(404, "page not found")
    return _log(server, call.query["podname"])


def _log(server: Any, pod: str) -> str:
    if pod not in server.logs:
        raise Refused(500, f"Failed to read logs of {pod}")
    return str(server.logs[pod])


def _terminate_run(server: Any, call: Call) -> dict[str, Any]:
    """Like KFP's: only a run that goes on can be terminated, and in the end it is FAILED."""
    run = _get(server.runs, call.id)
    if run.state == "CANCELING" or run.state in ENDED:
        raise Refused(400, f"Failed to terminate a run {call.id}. Row not found")
    run.state, server.terminating = "CANCELING", ["CANCELING", "CANCELING", "FAILED"]
    return {}


def _delete_run(server: Any, call: Call) -> dict[str, Any]:
    _get(server.runs, call.id)
    del server.runs[call.id]
    return {}


def _of_experiment(items: dict[str, Any], call: Call) -> list[Any]:
    return [item for item in items.values() if item.experiment_id == call.query["experiment_id"]]


_ID = "([^/:]+)"
ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/healthz", lambda server, call: {"tag_name": server.version, "multi_user": server.multi_user}),
    ("POST", "/experiments", _create_experiment),
    (
        "GET",
        "/experiments",
        _listing(models.V2beta1ListExperimentsResponse, "experiments", lambda s, c: [*s.experiments.values()]),
    ),
    ("POST", "/pipelines", _create_pipeline),
    (
        "GET",
        "/pipelines",
        _listing(models.V2beta1ListPipelinesResponse, "pipelines", lambda s, c: [*s.pipelines.values()]),
    ),
    ("POST", "/pipelines/upload_version", _upload_version),
    (
        "GET",
        f"/pipelines/{_ID}/versions",
        _listing(
            models.V2beta1ListPipelineVersionsResponse,
            "pipeline_versions",
            lambda s, c: [*_versions_of(s, c.id).values()],
        ),
    ),
    ("GET", f"/pipelines/{_ID}/versions/{_ID}", lambda s, c: _get(s.versions, c.second_id)),
    ("POST", "/recurringruns", _create_recurring_run),
    (
        "GET",
        "/recurringruns",
        _listing(
            models.V2beta1ListRecurringRunsResponse,
            "recurring_runs",
            lambda s, c: _of_experiment(s.recurring_runs, c),
        ),
    ),
    ("POST", f"/recurringruns/{_ID}:enable", _switch("ENABLE")),
    ("POST", f"/recurringruns/{_ID}:disable", _switch("DISABLE")),
    ("DELETE", f"/recurringruns/{_ID}", _delete_recurring_run),
    ("POST", "/runs", _create_run),
    ("GET", "/runs", _listing(models.V2beta1ListRunsResponse, "runs", lambda s, c: _of_experiment(s.runs, c))),
    ("GET", f"/runs/{_ID}", _get_run),
    ("POST", f"/runs/{_ID}:terminate", _terminate_run),
    ("DELETE", f"/runs/{_ID}", _delete_run),
    ("GET", f"/apis/v1beta1/runs/{_ID}", _get_run_v1),
    ("GET", f"/apis/v1alpha1/runs/{_ID}/nodes/{_ID}/log", _read_log),
    ("GET", "/k8s/pod/logs", _read_log_through_pages),
)
