"""Rules about how much of a pipeline its machinery can carry."""

import json
from collections.abc import Iterator

from pipelines.kubeflow.lint.findings import Finding, LintSettings
from pipelines.kubeflow.lint.ir import CompiledPipeline

MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""Linux' MAX_ARG_STRLEN less the NUL byte: the longest argument of a program."""


def large_pipeline(pipeline: CompiledPipeline, settings: LintSettings) -> Iterator[Finding]:
    """Argo keeps the whole workflow, and the state of its tasks, in one object of etcd."""
    size = len(pipeline.text.encode())
    if size > settings.max_bytes:
        yield Finding(
            "pipeline",
            f"is {size:,} bytes, above {settings.max_bytes:,}",
            "hand large values over through S3, or split the pipeline",
        )


def large_arguments(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """KFP gives the parameters to its drivers as one argument (components, which may be as large, come in a file)."""
    size = len(json.dumps(pipeline.defaults, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_ARGUMENT_BYTES:
        yield Finding(
            "parameters",
            f"are {size:,} bytes, and Linux takes no argument above {MAX_ARGUMENT_BYTES:,}",
            "hand large values over through S3",
        )
