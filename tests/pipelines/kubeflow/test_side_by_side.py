"""Which tasks of a pipeline may run at the same time."""

import pytest

from pipelines.kubeflow.lint.ir import CompiledPipeline, Dag, Task
from pipelines.kubeflow.side_by_side import side_by_side


def groups(after: dict[str, list[str]], dags: tuple[str, ...] = ()) -> list[str]:
    """The groups of a pipeline of one-letter tasks, each of which comes after others; `dags` run no container."""
    tasks = {
        name: Task("root", name, {"dependentTasks": before}, {}, {} if name in dags else {"image": "x"}, {})
        for name, before in after.items()
    }
    return sorted("".join(task.name for task in group) for group in side_by_side(_pipeline(tasks)))


def _pipeline(tasks: dict[str, Task]) -> CompiledPipeline:
    return CompiledPipeline("", {}, (Dag("root", tasks, {}),))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, []),
        ({"a": [], "b": ["a"], "c": ["b"]}, ["a", "b", "c"]),
        ({"a": [], "b": [], "c": []}, ["abc"]),
        ({"a": [], "b": ["a"], "c": ["b"], "e": ["a"], "f": ["e", "c"]}, ["a", "be", "ce", "f"]),
        # e waits for a only, f for e and b: f never runs beside e.
        (
            {"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["a"], "f": ["e", "b"]},
            ["a", "be", "ce", "cf", "de", "df"],
        ),
    ],
)
def test_what_waits_for_nothing_of_the_group_may_run_beside_it(
    after: dict[str, list[str]], expected: list[str]
) -> None:
    assert groups(after) == expected


def test_what_runs_no_container_holds_nothing_and_passes_the_order_on() -> None:
    assert groups({"a": [], "x": ["a"], "b": ["x"], "c": ["a"]}, dags=("x",)) == ["a", "bc"]
