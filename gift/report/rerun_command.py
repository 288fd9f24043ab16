"""The command that repeats a run, from nothing but its report: the commit, its whole configuration, and `gift run`.

Left out: services and images of a cluster, which docs/cluster.md sets up; the image's digest is in the provenance.
"""

import json
import re

from gift.report.schema import Report

_COMMIT = re.compile(r"([0-9a-f]{40})(-dirty)?")


def reproduction_command(report: Report) -> str:
    """Lines for a POSIX shell in a checkout of the project.

    The configuration is JSON on one line, which is YAML, too; the quoted end mark keeps the shell from reading it.
    """
    config = json.dumps(report.config, ensure_ascii=False)
    return "\n".join([*_checkout(report), "cat > run.yaml <<'CONFIG'", config, "CONFIG", "gift run --profile run.yaml"])


def _checkout(report: Report) -> list[str]:
    """What git can't give back is said in a comment."""
    found = _COMMIT.fullmatch(report.provenance.get("git_sha", ""))
    if found is None:
        return ["# the report names no commit"]
    changed = ["# with changes that no commit has"] if found[2] else []
    return [*changed, f"git checkout {found[1]}"]
