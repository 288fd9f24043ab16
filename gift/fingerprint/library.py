"""What of this library a module of it can reach."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from gift.fingerprint.modules import Reach, reach

ROOT = Path(__file__).resolve().parents[2]
"""Folder of the package `gift`."""


def reach_in_library(module: str) -> Reach:
    """From `module` through all of `gift`; what is imported besides is named, not followed."""
    return reach([module], _source)


def source_digest(modules: Iterable[str]) -> str:
    """One digest (sha256) of all that several modules can reach."""
    found = {name: digest for module in modules for name, digest in reach_in_library(module).digests.items()}
    return hashlib.sha256("\n".join(f"{name} {found[name]}" for name in sorted(found)).encode()).hexdigest()


def _source(module: str) -> Path | None:
    if module.partition(".")[0] != "gift":
        return None
    path = ROOT.joinpath(*module.split("."))
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)
