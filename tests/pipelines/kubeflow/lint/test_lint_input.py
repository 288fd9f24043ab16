"""What `gift lint` says of a file that is no compiled pipeline."""

import pytest

from gift.errors import GiftError
from pipelines.kubeflow.lint import LintSettings, lint

REFERENCE = """\
root: {dag: {tasks: {a: {componentRef: {name: comp-a}}}}}
components: {comp-a: {executorLabel: exec-a}}
---
platforms: {kubernetes: {deploymentSpec: {executors: {exec-a: {secretAsEnv: [{secretNameParameter: {SOURCE}}]}}}}}
"""
"""A task whose Secret is named by something."""
REFERENCES = (
    "componentInputParameter: [1]",
    "taskOutputParameter: text",
    "taskOutputParameter: {producerTask: [1]}",
)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a: [", "- 1", "root: 3", "apiVersion: v1\nkind: Pod\n", "root: {dag: {}}\n---\nno platform"),
        *("root: {dag: 3}", "root: {dag: {tasks: []}}", "root: {dag: {tasks: {a: {inputs: {parameters: 3}}}}}"),
        "root: {dag: {tasks: {a: {retryPolicy: {maxRetryCount: many}}}}}",
        "root: {dag: {}}\ncomponents: {comp-a: 3}",
        "root: {dag: {}}\n---\nplatforms: {kubernetes: {deploymentSpec: {executors: {a: {emptyDirMounts: [{}]}}}}}",
        *(REFERENCE.replace("SOURCE", source) for source in REFERENCES),
    ],
)
def test_what_is_no_pipeline_is_refused(text: str) -> None:
    with pytest.raises(GiftError, match="this is no"):
        lint(text, LintSettings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "this: more than 50 levels"),
        ("root: &a {dag: {tasks: *a}}", "a value inside itself"),
        (
            "a: &a [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1 or ''}, *a{i - 1 or ''}]\n" for i in range(1, 40)),
            "every alias",
        ),
        ("x" * 3_000_000, "this is longer than"),
        ("root: \x07", "this is not YAML"),
    ],
)
def test_what_would_take_all_memory_is_refused_at_once(text: str, message: str) -> None:
    with pytest.raises(GiftError, match=message):
        lint(text, LintSettings())


def test_a_date_that_does_not_exist_is_a_text() -> None:
    assert lint("root: {dag: {}, on: 2026-13-45}", LintSettings()) == []
