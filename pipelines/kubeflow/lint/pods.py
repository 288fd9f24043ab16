"""Rules about the pods that the tasks run in."""

import re
from collections.abc import Iterator

from pipelines.kubeflow.lint.findings import Finding, LintSettings
from pipelines.kubeflow.lint.ir import CompiledPipeline, Task

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_INSTALL = re.compile(r"\bpip3?\s+install\b")
_PYTHON_SOURCE = "\nimport kfp\n"
"""How the source of a Python component begins, which may talk of pip without calling it."""
_SPLITS_DATA = re.compile(r"train-(test|val|valid|validation|dev|eval)\b")


def image_tags(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """A tag may name another image when the task is retried, and KFP's cache does not notice."""
    for task in pipeline.containers:
        image = task.container.get("image", "")
        if not _DIGEST.search(image):
            yield Finding(task.where, f"the image {image} has no digest", "name it registry/name@sha256:…")


def installed_packages(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """kfp's default: every task installs kfp before it starts, from wherever pip finds it."""
    for task in pipeline.containers:
        commands = [word for word in task.words if not word.startswith(_PYTHON_SOURCE)]
        if _INSTALL.search(" ".join(commands)):
            yield Finding(
                task.where,
                "installs packages when it runs",
                "put them into the image, and set install_kfp_package=False on the component",
            )


def missing_shared_memory(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """Containers have 64 MiB of /dev/shm; NCCL, gloo and data loaders want more, and end with a bus error."""
    for task in pipeline.containers:
        mounts = task.pod.get("emptyDirMounts", [])
        in_memory = {mount["mountPath"].rstrip("/") for mount in mounts if mount.get("medium") == "Memory"}
        has_memory = "/dev/shm" in in_memory  # noqa: S108
        trains = task.component_name.startswith("train") and not _SPLITS_DATA.match(task.component_name)
        if not has_memory and (trains or "accelerator" in task.container.get("resources", {})):
            yield Finding(
                task.where,
                "trains or has GPUs, and has 64 MiB of /dev/shm",
                'kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=…)',
            )


def missing_timeouts(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """A task that hangs holds its GPUs until somebody looks."""
    for task in pipeline.containers:
        if not _timeout(task):
            yield Finding(task.where, "has no timeout", "kubernetes.set_timeout(task, seconds)")


def short_retry_windows(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """`backoff_max_duration` is counted from when the first attempt was made, and KFP's default is one hour."""
    for task in pipeline.containers:
        policy = task.spec.get("retryPolicy", {})
        attempts, window = int(policy.get("maxRetryCount", 0)) + 1, _seconds(policy.get("backoffMaxDuration", "0s"))
        if attempts > 1 and (window == 0 or window < attempts * _timeout(task)):
            yield Finding(
                task.where,
                f"no attempt goes on or begins {window:.0f} s after the first was made, and {attempts} attempts may "
                f"take {attempts * _timeout(task)} s",
                "set_retry(…, backoff_max_duration=…) to that at least",
            )


def missing_non_root(pipeline: CompiledPipeline, _settings: LintSettings) -> Iterator[Finding]:
    """KFP demands non-root of its own containers only, not of the task's."""
    for task in pipeline.containers:
        context = task.pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or str(context.get("runAsUser")) == "0":
            yield Finding(
                task.where,
                "may run as root",
                "kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)",
            )


def _timeout(task: Task) -> int:
    return int(task.pod.get("activeDeadlineSeconds", 0))


def _seconds(duration: str) -> float:
    """Of a protocol buffer's Duration in JSON: `3600s`."""
    return float(duration.removesuffix("s"))
