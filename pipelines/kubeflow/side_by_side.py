"""Which tasks of a compiled pipeline may run at the same time: those of which none waits for another.

Left out: tasks of one DAG beside those of another one (an exit handler waits for what it encloses).
"""

from collections.abc import Iterator, Mapping

from pipelines.kubeflow.lint.ir import CompiledPipeline, Dag, Task


def side_by_side(pipeline: CompiledPipeline) -> list[list[Task]]:
    """The largest groups of containers that may run at once; a task that is always alone is a group of its own."""
    return [[dag.tasks[name] for name in group] for dag in pipeline.dags for group in _groups(dag)]


def _groups(dag: Dag) -> Iterator[list[str]]:
    before: dict[str, set[str]] = {}
    for name in dag.tasks:
        _add_all_before(name, dag, before)
    names = [name for name, task in dag.tasks.items() if task.container]
    apart = {
        one: {other for other in names if other != one and one not in before[other] and other not in before[one]}
        for one in names
    }
    return _cliques([], names, [], apart)


def _add_all_before(name: str, dag: Dag, before: dict[str, set[str]]) -> set[str]:
    if name not in before:
        direct = dag.tasks[name].spec.get("dependentTasks", [])
        before[name] = set(direct).union(*(_add_all_before(task, dag, before) for task in direct))
    return before[name]


def _cliques(
    group: list[str], candidates: list[str], done: list[str], apart: Mapping[str, set[str]]
) -> Iterator[list[str]]:
    """Bron and Kerbosch: every way to grow `group` by `candidates` until nothing can join it; `done` had their turn."""
    if group and not candidates and not done:
        yield group
    while candidates:
        name, *candidates = candidates
        yield from _cliques(
            [*group, name], [c for c in candidates if c in apart[name]], [d for d in done if d in apart[name]], apart
        )
        done = [*done, name]
