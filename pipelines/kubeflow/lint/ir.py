"""A compiled pipeline as the rules look at it: every task once, with its component, its container and its pod.

The IR is one YAML document (kfp's PipelineSpec) and, where a task has Kubernetes settings, a second one (PlatformSpec).
Tasks live in DAGs: the root, and every component that has one (an ExitHandler, an If, a loop, a nested pipeline).

Left out: kfp's protocol buffer classes. They refuse fields that they do not know, and a linter should not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gift.config.yaml_text import parse_compiled
from gift.errors import GiftError
from pipelines.kubeflow.lint.ir_types import check_ir

Yaml = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A task of a DAG; the dictionaries are the IR's own, empty where it has none."""

    dag: str
    name: str
    spec: Yaml
    component: Yaml
    container: Yaml
    """Command, arguments, image, resources, env: of a task that runs one, and is no importer or volume."""
    pod: Yaml
    """kfp-kubernetes' settings."""

    @property
    def where(self) -> str:
        """`exit-handler-1/train-sft`."""
        return self.name if self.dag == "root" else f"{self.dag}/{self.name}"

    @property
    def words(self) -> list[str]:
        """Command and arguments of the container."""
        return [str(word) for word in (*self.container.get("command", []), *self.container.get("args", []))]

    @property
    def component_name(self) -> str:
        """Of the component in the DAG's code: `convert` for the task `convert-2`."""
        reference: str = self.spec.get("componentRef", {}).get("name", "").removeprefix("comp-")
        base, _, number = reference.rpartition("-")
        return base if base and number.isdigit() else reference

    @property
    def parameters(self) -> Yaml:
        """The parameters that the task is given: name → where the value comes from."""
        given: Yaml = self.spec.get("inputs", {}).get("parameters", {})
        return given


@dataclass(frozen=True)
class Dag:
    """The tasks of one DAG by their names, and the inputs that the DAG itself has."""

    name: str
    tasks: dict[str, Task]
    inputs: Yaml
    """`inputDefinitions`: `parameters` and `artifacts` by name."""


@dataclass(frozen=True)
class CompiledPipeline:
    """What `kfp.compiler.Compiler` wrote."""

    text: str
    spec: Yaml
    dags: tuple[Dag, ...]

    @property
    def tasks(self) -> Iterator[Task]:
        """Those of all DAGs."""
        for dag in self.dags:
            yield from dag.tasks.values()

    @property
    def containers(self) -> Iterator[Task]:
        """The tasks that run a container."""
        return (task for task in self.tasks if task.container)

    @property
    def defaults(self) -> Yaml:
        """The pipeline's parameters that have a default: name → value."""
        parameters = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {name: value["defaultValue"] for name, value in parameters.items() if "defaultValue" in value}


def parse_pipeline(text: str) -> CompiledPipeline:
    """Raises: GiftError: `text` is not the YAML of a compiled pipeline."""
    spec, platform = [*filter(None, parse_compiled(text, "this")), {}, {}][:2]
    root = spec.get("root") if isinstance(spec, dict) and isinstance(platform, dict) else None
    if not isinstance(root, dict) or "dag" not in root:
        raise GiftError("this is no compiled pipeline: it has no root DAG; write one with `gift compile`")
    check_ir(spec, platform)
    pods = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    return CompiledPipeline(text, spec, tuple(_dags(spec, pods)))


def _dags(spec: Yaml, pods: Yaml) -> Iterator[Dag]:
    components = spec.get("components", {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for reference, component in (("root", spec["root"]), *components.items()):
        if "dag" not in component:
            continue
        name = reference.removeprefix("comp-")
        tasks = {}
        for task_name, task in component["dag"].get("tasks", {}).items():
            made_by = components.get(task.get("componentRef", {}).get("name"), {})
            label = made_by.get("executorLabel")
            container = executors.get(label, {}).get("container", {})
            if container.get("image", "").startswith("argostub/"):  # stands for creating or deleting a volume
                container = {}
            tasks[task_name] = Task(name, task_name, task, made_by, container, pods.get(label, {}))
        yield Dag(name, tasks, component.get("inputDefinitions", {}))
