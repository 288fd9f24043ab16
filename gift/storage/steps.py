"""Checkpoints below one URI: a directory for each step and part, `<uri>/step-<n>/node-<k>`.

A step counts when all its parts are complete. Left out: whether what they hold is any use; readers find out.
"""

import re
from collections import Counter

from gift.storage.composition import delete_directory
from gift.storage.listing import list_paths


def part_uri(uri: str, step: int, node: int) -> str:
    """Where a node stores its part of the checkpoint of `step`."""
    return f"{uri}/step-{step}/node-{node}"


def complete_steps(uri: str, nodes: int) -> list[int]:
    """The steps below `uri` for which the parts of all `nodes` are complete, the newest first.

    Raises:
        GiftError: S3 can't be read.
    """
    manifests = (re.fullmatch(r"step-(\d+)/node-\d+/manifest\.json", path) for path in list_paths(uri))
    parts = Counter(int(manifest[1]) for manifest in manifests if manifest)
    return sorted((step for step, count in parts.items() if count == nodes), reverse=True)


def remove_all_but(uri: str, step: int) -> None:
    """Remove the checkpoints of other steps, complete or not.

    Raises:
        GiftError: S3 failed.
    """
    for name in sorted({path.partition("/")[0] for path in list_paths(uri)} - {f"step-{step}"}):
        delete_directory(f"{uri}/{name}")
