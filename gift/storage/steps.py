"""Checkpoints below one URI: a directory for each step and part, `<uri>/step-<n>/node-<k>-of-<nodes>`.

A step counts when all its parts are complete. Left out: whether what they hold is any use; readers find out.
"""

import re
from collections import Counter
from dataclasses import dataclass

from gift.storage.composition import delete_directory
from gift.storage.listing import list_paths


@dataclass(frozen=True, order=True)
class StoredStep:
    """A step, and how many nodes have stored a part of its checkpoint."""

    step: int
    nodes: int


def part_uri(uri: str, stored: StoredStep, node: int) -> str:
    """Where one of the nodes, counted from 0, stores its part of a checkpoint."""
    return f"{uri}/step-{stored.step}/node-{node}-of-{stored.nodes}"


def complete_steps(uri: str) -> list[StoredStep]:
    """The steps below `uri` for which the parts of all nodes are complete, the newest first.

    Raises:
        GiftError: S3 can't be read.
    """
    manifests = (re.fullmatch(r"step-(\d+)/node-\d+-of-(\d+)/manifest\.json", path) for path in list_paths(uri))
    parts = Counter(StoredStep(int(found[1]), int(found[2])) for found in manifests if found)
    return sorted((stored for stored, count in parts.items() if count == stored.nodes), reverse=True)


def remove_all_but(uri: str, step: int) -> None:
    """Remove the checkpoints of other steps, complete or not.

    Raises:
        GiftError: S3 failed.
    """
    for name in sorted({path.partition("/")[0] for path in list_paths(uri)} - {f"step-{step}"}):
        delete_directory(f"{uri}/{name}")
