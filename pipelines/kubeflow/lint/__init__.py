"""`gift lint`: what compiles, and fails or misleads later. For the IR of any kfp pipeline.

Each rule is a function of the compiled pipeline, in the module of its subject. Left out: what `kfp` and KFP's server
check themselves, and Vertex AI.
"""

from collections.abc import Callable, Iterator

from pipelines.kubeflow.lint.findings import Finding, LintSettings
from pipelines.kubeflow.lint.graph import (
    bare_conditions,
    cached_side_effects,
    dangling_parameters,
    unresolved_placeholders,
)
from pipelines.kubeflow.lint.ir import CompiledPipeline, parse_pipeline
from pipelines.kubeflow.lint.pods import (
    image_tags,
    installed_packages,
    missing_non_root,
    missing_shared_memory,
    missing_timeouts,
    short_retry_windows,
)
from pipelines.kubeflow.lint.secrets import plain_secrets
from pipelines.kubeflow.lint.size import large_arguments, large_pipeline

__all__ = ["RULES", "LintSettings", "lint"]

RULES: dict[str, Callable[[CompiledPipeline, LintSettings], Iterator[Finding]]] = {
    "dangling-parameter": dangling_parameters,
    "bare-if": bare_conditions,
    "cached-side-effect": cached_side_effects,
    "unresolved-placeholder": unresolved_placeholders,
    "image-tag": image_tags,
    "pip-install": installed_packages,
    "shared-memory": missing_shared_memory,
    "timeout": missing_timeouts,
    "retry-window": short_retry_windows,
    "non-root": missing_non_root,
    "plain-secret": plain_secrets,
    "size": large_pipeline,
    "argument-size": large_arguments,
}


def lint(text: str, settings: LintSettings) -> list[str]:
    """The findings in the IR `text`, each as `[rule] where: what is wrong; what to do`.

    Raises:
        GiftError: `text` is no compiled pipeline.
    """
    pipeline = parse_pipeline(text)
    return [
        f"[{name}] {finding.where}: {finding.wrong}; {finding.todo}"
        for name, rule in RULES.items()
        for finding in dict.fromkeys(rule(pipeline, settings))
    ]
