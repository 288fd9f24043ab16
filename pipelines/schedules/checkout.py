"""Whether this checkout is what a commit says, as far as it decides what is compiled.

A schedule pins a commit, and lies in a later one: no commit can name itself. So the commits need not be the same, but
everything that a pipeline is compiled from must be.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILED_FROM = ("components", "gift", "pipelines", "profiles", "requirements", "pyproject.toml")


def difference_from(commit: str) -> str | None:
    """Why a pipeline compiled here would not be that of `commit`; None where it would be."""
    if _git("ls-files", "--error-unmatch", "pipelines/schedules/checkout.py") is None:
        return "it is no git checkout"
    if _git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        return "it does not know that commit; `git fetch` may help"
    listings = {
        "differs in": _git("diff", "--name-only", commit, "--", *COMPILED_FROM),
        "has besides": _git("ls-files", "--others", "--exclude-standard", "--", *COMPILED_FROM),
    }
    for verb, files in listings.items():
        if files is None:
            return "git can't compare it"
        if files:
            first, *others = files.splitlines()
            return f"it {verb} {first}" + (f" and {len(others)} more files" if others else "")
    return None


def _git(*arguments: str) -> str | None:
    """The output of git in this checkout; None where it fails or there is no git."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
