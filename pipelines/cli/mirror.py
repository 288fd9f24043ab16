"""`gift mirror`: what a profile needs from outside, and copies of it for a cluster that reaches nothing outside.

Left out: copying images and wheels, which registries' and package indexes' own tools do better.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from gift.config import RunConfig, load_profile
from gift.config.cluster import IMAGE_BY_DIGEST
from gift.data.prepare import public_data
from gift.data.snapshots import snapshots_of
from gift.errors import GiftError
from gift.hub.mirror import hub_models, push
from gift.storage import check_storage
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    S3Port,
    StateDir,
    console,
    one_line_errors,
    session_services,
)
from pipelines.images.describe import read_image

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"

app = typer.Typer(help="Copy what a profile needs from outside into the own store.", no_args_is_help=True)

Image = Annotated[
    str | None,
    typer.Option(help="The image that the pipeline is compiled with, by digest; else the one built last, if pushed."),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="The wheels of the CPU image instead of the GPU one.")]


@dataclass(frozen=True)
class Need:
    """One thing from outside."""

    kind: str
    """image, model, data set or wheel."""
    name: str
    pin: str
    """What makes it one thing for ever: a digest, a commit or a version with its hashes."""


@app.command("list")
def list_command(
    profile: Profile,
    image: Image = None,
    cpu: Cpu = False,
    override: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every hash.")] = False,
) -> None:
    """Print every image digest, model revision, data set revision and wheel that a profile needs."""
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        built, variant = read_image("gift"), "cpu" if cpu else "gpu"
        if image is None and built is not None and built.variant == variant:
            image = built.digest
        needs = list(needs_of(config, image, variant))
    if image is None:
        typer.echo(
            "no image: the one built last is of the other variant or was not pushed; --image names one", err=True
        )
    if as_json:
        typer.echo(json.dumps([asdict(need) for need in needs], indent=2))
        return
    width = max(len(need.name) for need in needs)
    for need in needs:  # no table of rich's: it would cut digests to the width of the terminal
        typer.echo(f"{need.kind:<9} {need.name:<{width}}  {need.pin.partition(' ')[0]}")


@app.command("push")
def push_command(
    profile: Profile,
    override: Overrides = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Copy a profile's models and data sets from the hub (or GIFT_DATA_DIR) into its store, where stages look first."""
    with one_line_errors("interrupted"):
        config = load_profile(profile, tuple(override or ()))
        with session_services(state_dir, s3_port, mlflow_port):
            check_storage(config.storage.uri)
            for uri in push(config):
                console.print(f"mirrored    {uri}", soft_wrap=True, highlight=False)


def needs_of(config: RunConfig, image: str | None, variant: str) -> Iterator[Need]:
    """Everything from outside that a run of `config` reads, and what its image is built from.

    Raises:
        GiftError: the image is not named by digest.
    """
    if image:
        if not re.fullmatch(IMAGE_BY_DIGEST, image):
            raise GiftError(f"--image {image} names no digest; a tag may be moved, so give NAME@sha256:…")
        yield Need("image", *image.split("@"))
    for model in hub_models(config):
        yield Need("model", model.name, model.revision)
    for data in public_data(config):
        yield Need("data set", f"{data.repository} ({data.split})", data.revision)
    for snapshot in snapshots_of(config).values():
        yield Need("data set", f"{snapshot.repository} ({snapshot.subset or 'default'}, all splits)", snapshot.revision)
    yield from dict.fromkeys(_wheels(variant))


def _wheels(variant: str) -> Iterator[Need]:
    """The locked packages that an image takes to build, and torch, whose CPU build has no hash (see torch.txt)."""
    for name in (variant, "uv", "build", "models", "sbom", *(["torch"] if variant == "cpu" else [])):
        text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            pinned = re.match(r"([\w.-]+)(?:\[.*\])?==(\S+)", line)
            if pinned:
                yield Need("wheel", pinned[1], " ".join((pinned[2], *re.findall(r"--hash=(\S+)", line))))
