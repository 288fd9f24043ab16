"""Rules about how the tasks hang together."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.kubeflow.lint.findings import Finding, LintSettings
from pipelines.kubeflow.lint.ir import CompiledPipeline, Dag, Task, Yaml
from pipelines.kubeflow.lint.ir_types import check_source

_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]")
_CONDITION_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'")
_RUN_FACTS = re.compile(r"\{\{\$\.pipeline_\w+\}\}")
RESOLVED = frozenset(
    f"{{{{$.pipeline_{name}}}}}"
    for name in (
        "job_name",
        "job_resource_name",
        "job_uuid",
        "job_create_time_utc",
        "job_schedule_time_utc",
        "task_name",
        "task_uuid",
    )
)
"""What KFP's driver puts in, where it is the whole of a task's input."""


def dangling_parameters(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """A reference to something that is not there. KFP compiles such references for limits that are parameters, within
    an ExitHandler, an If or a loop; the task's driver fails when it comes to them."""
    for dag in pipeline.dags:
        for task in dag.tasks.values():
            for wrong in (*_dangling_inputs(dag, task), *_dangling_in_container(task)):
                yield Finding(task.where, wrong, "write the value into the pipeline when it is compiled")


def _dangling_inputs(dag: Dag, task: Task) -> Iterator[str]:
    sources = [*task.parameters.values(), *task.spec.get("inputs", {}).get("artifacts", {}).values()]
    for source in (*sources, *_nested_sources(task.pod)):
        for kind in ("Parameter", "Artifact"):
            name = source.get(f"componentInput{kind}")
            if name is not None and name not in dag.inputs.get(f"{kind.lower()}s", {}):
                yield f"takes the {kind.lower()} {name}, which {dag.name} does not have"
        for kind in ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus"):
            producer = source.get(kind, {}).get("producerTask")
            if producer is not None and producer not in dag.tasks:
                yield f"takes an output of {producer}, which is no task of {dag.name}"
    for name in _CONDITION_INPUT.findall(_condition(task)):
        if name not in task.parameters:
            yield f"has a condition on {name}, which it is not given"


def _nested_sources(value: Any) -> Iterator[Yaml]:
    """The references within Kubernetes settings (names of Secrets, tolerations …)."""
    if isinstance(value, dict):
        if "componentInputParameter" in value or "taskOutputParameter" in value:
            check_source(value)
            yield value
        for child in value.values():
            yield from _nested_sources(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nested_sources(child)


def _dangling_in_container(task: Task) -> Iterator[str]:
    given = set(task.parameters)
    declared = given | set(task.component.get("inputDefinitions", {}).get("parameters", {}))
    for part, known in {"image": given, "resources": given, "command": declared, "args": declared}.items():
        for name in sorted(set(_INPUT.findall(str(task.container.get(part, "")))) - known):
            yield f"{part} refers to {name}, which the task is not given"
    for variable in task.container.get("env", []):
        if "{{" in str(variable.get("value", "")):
            yield f"the environment variable {variable['name']} holds a reference, which KFP does not resolve there"


def bare_conditions(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """An If without an Else: where it is skipped, for whatever reason, the run succeeds all the same.

    Else is compiled to a condition of nothing but negations, beside those that it negates.
    """
    for dag in pipeline.dags:
        conditional = [task for task in dag.tasks.values() if _condition(task)]
        if not any(_is_else(task) for task in conditional):
            for task in conditional:
                yield Finding(task.where, "is an If without an Else", "add dsl.Else, with a task that says so")


def _condition(task: Task) -> str:
    condition: str = task.spec.get("triggerPolicy", {}).get("condition", "")
    return condition


def _is_else(task: Task) -> bool:
    condition = _QUOTED.sub("", _condition(task))
    return all(clause.startswith("!(") for clause in condition.split(" && "))


def cached_side_effects(pipeline: CompiledPipeline, settings: LintSettings) -> Iterator[Finding]:
    """A cached task is not run: nothing is registered, nobody is told. Exit tasks count as such."""
    for task in pipeline.containers:
        acts = any(f"{task.component_name}-".startswith(f"{name}-") for name in settings.side_effects)
        is_exit_task = task.spec.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if (acts or is_exit_task) and task.spec.get("cachingOptions", {}).get("enableCache"):
            yield Finding(
                task.where, "acts outside of the pipeline and may be skipped by the cache", "set_caching_options(False)"
            )


def unresolved_placeholders(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """KFP puts in a run's id or name only where it is the whole of a task's input; else the braces reach the code. In a
    container's command it resolves only inputs and outputs."""
    for name, value in pipeline.defaults.items():
        if "{{$" in str(value):
            yield Finding(f"parameter {name}", "its default is a placeholder, which KFP does not resolve there", _WHOLE)
    for task in pipeline.tasks:
        for name, source in task.parameters.items():
            value = str(source.get("runtimeValue", {}).get("constant", ""))
            if _RUN_FACTS.search(value) and value not in RESOLVED:
                yield Finding(task.where, f"the input {name} holds a placeholder that KFP does not resolve", _WHOLE)
        if any(_RUN_FACTS.search(word) for word in task.words):
            yield Finding(task.where, "its command holds a placeholder that KFP does not resolve there", _WHOLE)


_WHOLE = "give the placeholder alone to the task, as an argument"
