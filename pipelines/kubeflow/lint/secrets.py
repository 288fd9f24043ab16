"""The rule about secrets: a compiled pipeline is stored by KFP, shown in its pages and committed to git.

Names and patterns, no entropy. What is found is named, never shown.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.kubeflow.lint.findings import Finding, LintSettings
from pipelines.kubeflow.lint.ir import CompiledPipeline

_NAMES = re.compile(
    r"(^|[_.-])(?i:password|passwd|token|api_?key|access_?key(_?id)?|(secret|private)_?(access_?)?key|credentials?"
    r"|(client|app|auth)_?secret)$|(^|_)SECRET$"
)
"""Of values that are secrets. Not `s3_secret: gift-s3`, as manifests and configurations name where to find one."""
_TOKENS_OF_MODELS = re.compile(r"(?i)(^|[_.-])(pad|bos|eos|unk|sep|cls|mask|start|stop|end|special|image|max)_token$")
_PATTERNS = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token": re.compile(r"\b(hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36,}|xox[abprs]-[\w-]{10,})"),
    "an address with a password": re.compile(r"\w://[^/\s:@\"'{}]*:[^/\s@\"'{}]+@"),
}


def plain_secrets(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """A literal value where a Kubernetes Secret should be named."""
    for name, default in pipeline.defaults.items():
        for fault in _faults(name, default):
            yield Finding(f"parameter {name}", f"its default holds {fault}", _REMEDY)
    for task in pipeline.tasks:
        for name, source in task.parameters.items():
            for fault in _faults(name, source.get("runtimeValue", {}).get("constant")):
                yield Finding(task.where, f"the input {name} holds {fault}", _REMEDY)
        for variable in task.container.get("env", []):
            for fault in _faults(variable["name"], variable.get("value")):
                yield Finding(task.where, f"the environment variable {variable['name']} holds {fault}", _REMEDY)
        for word in task.words:
            for fault in _faults("", word):
                yield Finding(task.where, f"its command holds {fault}", _REMEDY)


def _faults(name: str, value: Any) -> Iterator[str]:
    """What `value` gives away; keys within JSON are looked at like names."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _faults(key, child)
    elif isinstance(value, list):
        for child in value:
            yield from _faults(name, child)
    elif isinstance(value, str) and value and not value.startswith("{{"):
        if _NAMES.search(name) and not _TOKENS_OF_MODELS.search(name):
            yield f"a literal {name}"
        yield from (kind for kind, pattern in _PATTERNS.items() if pattern.search(value))


_REMEDY = "name a Secret that holds it: kubernetes.use_secret_as_env"
