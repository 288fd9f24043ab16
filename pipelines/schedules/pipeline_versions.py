"""The pipeline versions that schedules run: compiled once from the pinned commit, uploaded once, never changed.

The pipeline of a profile is `gift-<profile>`. A version's name is made of everything that it is compiled from (commit,
profile, overrides, image), so that any checkout can tell whether it is on the cluster; its description repeats these
words and has the digest of the uploaded text. A version that is there is never uploaded again: from a checkout that
can compile it, its content is compared instead, and anything else under its name is an error.

Left out: removing versions that no schedule names any more; their runs point to them.
"""

import hashlib
import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api

from gift.config import digest_of, load_profile
from gift.errors import GiftError
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError
from pipelines.schedules.checkout import difference_from
from pipelines.schedules.schedule import Schedule

PINS = ("profile", "overrides", "git_sha", "image")


@dataclass(frozen=True)
class Version:
    """A pipeline version on the cluster."""

    pipeline_id: str
    version_id: str


@dataclass(frozen=True)
class Package:
    """A pipeline version as a schedule wants it."""

    pipeline: str
    name: str
    made_from: Mapping[str, str]
    text: str | None
    """The compiled pipeline; None where this checkout can't compile it, because it is another commit."""
    version: Version | None
    """Where it is on the cluster already."""


def pins(schedule: Schedule) -> dict[str, str]:
    """What a version is compiled from, as text."""
    return {
        "profile": schedule.profile,
        "overrides": ", ".join(schedule.overrides) or "none",
        "git_sha": schedule.git_sha,
        "image": schedule.image,
    }


def package(api: KfpApi, schedule: Schedule, folder: Path) -> Package:
    """The version that a schedule wants, from this checkout or from the cluster.

    Args:
        folder: of the schedules, for the way out that an error names.

    Raises:
        GiftError: the schedule pins nothing yet, the version is neither there nor can it be compiled here, or the
            cluster has something else under its name.
    """
    if schedule.placeholders:
        raise GiftError(f"{' and '.join(schedule.placeholders)} are zeros; name a commit and the image built from it")
    pipeline, made_from = f"gift-{schedule.profile}", pins(schedule)
    name = f"{schedule.git_sha[:12]}-{digest_of(made_from)[:12]}"
    found = _find(api, pipeline, name)
    difference = difference_from(schedule.git_sha)
    text = _compile(schedule) if difference is None else None
    if text is not None:
        made_from["ir_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    if found is not None:
        _check_content(pipeline, found, made_from)
        return Package(pipeline, name, made_from, text, Version(found.pipeline_id, found.pipeline_version_id))
    if difference is not None:
        way_out = _elsewhere(schedule, difference, folder)
        raise GiftError(f"version {name} of {pipeline} is not on the cluster, and {way_out}")
    return Package(pipeline, name, made_from, text, None)


def upload(api: KfpApi, package: Package) -> Version:
    """The version on the cluster, uploaded if it is not there.

    Raises:
        GiftError: KFP does not answer or refuses it.
    """
    if package.version is not None:
        return package.version
    assert package.text is not None, "a package is compiled, or on the cluster"  # noqa: S101
    pipeline_id = _pipeline_id(api, package.pipeline) or _make_pipeline(api, package.pipeline)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package.text, encoding="utf-8")
        uploaded = api.once(
            api.uploads.upload_pipeline_version,
            str(path),
            name=package.name,
            pipelineid=pipeline_id,
            description=json.dumps(dict(package.made_from)),
            done=lambda: _find(api, package.pipeline, package.name),
        )
    return Version(pipeline_id, uploaded.pipeline_version_id)


def made_from(api: KfpApi, version: Version) -> Mapping[str, str]:
    """What a version on the cluster says that it was compiled from; nothing where it is gone or is not one of ours."""
    try:
        found = api.repeat(api.pipelines.pipeline_service_get_pipeline_version, version.pipeline_id, version.version_id)
    except NotFoundError:
        return {}
    return _description(found)


def _compile(schedule: Schedule) -> str:
    config = load_profile(schedule.profile, schedule.overrides)
    # kfp takes seconds to import; a schedule that is refused is refused before that.
    from pipelines.kubeflow.compile import compile_pipeline

    return compile_pipeline(config, schedule.image)


def _elsewhere(schedule: Schedule, difference: str, folder: Path) -> str:
    short = schedule.git_sha[:12]
    return (
        f"this checkout is not commit {short} ({difference}). Compile it from there: "
        f"git worktree add ../gift-{short} {schedule.git_sha}, and in it "
        f"python -m pipelines.cli schedule apply --schedules {shlex.quote(str(folder.resolve()))}"
    )


def _check_content(pipeline: str, found: Any, wanted: Mapping[str, str]) -> None:
    has = _description(found)
    differing = [key for key, value in wanted.items() if has.get(key) != value]
    if differing:
        raise GiftError(
            f"version {found.display_name} of {pipeline} is on the cluster with other content "
            f"({', '.join(differing)}), so it was not uploaded by `gift schedule apply` from that commit; "
            "delete that version, or pin another commit"
        )


def _description(found: Any) -> dict[str, str]:
    try:
        described = json.loads(found.description or "")
    except (ValueError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}


def _find(api: KfpApi, pipeline: str, name: str) -> Any | None:
    pipeline_id = _pipeline_id(api, pipeline)
    if pipeline_id is None:
        return None
    listing = api.pipelines.pipeline_service_list_pipeline_versions
    found = api.named(listing, "pipeline_versions", name, pipeline_id=pipeline_id)
    return found[0] if found else None


def _pipeline_id(api: KfpApi, name: str) -> str | None:
    namespace = {} if api.namespace is None else {"namespace": api.namespace}
    found = api.named(api.pipelines.pipeline_service_list_pipelines, "pipelines", name, **namespace)
    return found[0].pipeline_id if found else None


def _make_pipeline(api: KfpApi, name: str) -> str:
    made = api.once(
        api.pipelines.pipeline_service_create_pipeline,
        kfp_server_api.V2beta1Pipeline(name=name, display_name=name, namespace=api.namespace),
        done=lambda: _pipeline_id(api, name),
    )
    return made if isinstance(made, str) else str(made.pipeline_id)
