"""The container images of this checkout: what each is made from, and which one was built last.

An image belongs to the sources it was built from by their digest, which it carries as a label. `images/built/<name>/`
holds `image.json`, `sbom.cdx.json` and `build.log` of the newest build.

Left out: building (`pipelines.images.build`), and images that are not made here.
"""

import hashlib
import subprocess
from pathlib import Path
from typing import Literal

import docker
from pydantic import BaseModel, ValidationError

from gift.errors import GiftError
from gift.fingerprint.provenance import git_sha
from pipelines.machine.docker_engine import docker_engine

CHECKOUT = Path(__file__).resolve().parents[2]
BUILT = CHECKOUT / "images" / "built"
LOCKS = ("uv", "build", "models", "torch", "sbom", "cpu", "gpu")
SOURCES = ("gift", "components", "pipelines", "pyproject.toml", *(f"requirements/{name}.txt" for name in LOCKS))

Variant = Literal["cpu", "gpu"]


class Image(BaseModel):
    """What `image.json` holds."""

    reference: str
    """What `docker run` takes."""
    id: str
    """The engine's own: sha256 of the image's configuration."""
    digest: str | None
    """`registry/name@sha256:…` of a pushed image: what a cluster takes."""
    git_sha: str
    source_digest: str
    lock_digest: str
    variant: Variant
    base: str
    size_bytes: int


def image_names() -> list[str]:
    """The images that this checkout can build.

    Raises:
        GiftError: the program runs from an installation, which has no Dockerfiles.
    """
    names = sorted(dockerfile.parent.name for dockerfile in CHECKOUT.glob("images/*/Dockerfile"))
    if not names:
        raise GiftError(f"{CHECKOUT} has no images/*/Dockerfile: run `gift` from a checkout of the project")
    return names


def source_files(name: str) -> list[Path]:
    """Everything that the image is built from, relative to the checkout and sorted: no documents, nothing git ignores.

    Raises:
        GiftError: the checkout is not a git repository, so that nobody knows what belongs to it.
    """
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    try:
        listed = subprocess.run(  # noqa: S603
            [*command, *SOURCES, f"images/{name}"], check=True, capture_output=True, text=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        why = " ".join(str(getattr(error, "stderr", None) or error).split())
        needs = "must be a git repository, and git installed, to build an image of it"
        raise GiftError(f"{CHECKOUT} {needs}: {why}") from None
    paths = {Path(path) for path in listed.stdout.split("\0") if path}
    return sorted(path for path in paths if path.suffix != ".md" and (CHECKOUT / path).is_file())


def files_digest(paths: list[Path]) -> str:
    """sha256 over the paths and contents of files of the checkout."""
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256((CHECKOUT / path).read_bytes()).hexdigest()
        digest.update(f"{path.as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def lock_digest(variant: Variant) -> str:
    """sha256 over the lock files that decide which packages are in the image; torch may come by gpu.txt into any."""
    names = dict.fromkeys((variant, "gpu", "build", "models", "torch"))
    return files_digest([Path(f"requirements/{name}.txt") for name in names])


def foundation_digest(name: str, variant: Variant, base_digest: str) -> str:
    """sha256 over what an image has below packages and our code: its base and its Dockerfile, with what lies beside it.

    A stage in the image finds it as GIFT_IMAGE_FOUNDATION and counts it among what decides an output, so that an image
    that was rebuilt for another command trains nothing again.
    """
    files = files_digest([path for path in source_files(name) if path.parts[0] == "images"])
    return hashlib.sha256(f"{base_digest} {variant} {files}".encode()).hexdigest()


def expected_labels(name: str, variant: Variant, base_digest: str) -> dict[str, str]:
    """The labels of an image that is up to date with this checkout."""
    return {
        "org.opencontainers.image.revision": git_sha(),
        "org.opencontainers.image.base.digest": base_digest,
        "gift.variant": variant,
        "gift.foundation-digest": foundation_digest(name, variant, base_digest),
        "gift.lock-digest": lock_digest(variant),
        "gift.source-digest": files_digest(source_files(name)),
    }


def built_image(name: str) -> Image:
    """The image that was built last, if the engine still has it and it holds this checkout's sources.

    Raises:
        GiftError: it was never built, is gone, or is of other sources; says what to run.
    """
    rebuild = "run `gift images build --cpu`"
    image = read_image(name)
    if image is None:
        raise GiftError(f"image {name} has not been built here: {rebuild}")
    with docker_engine() as engine:
        try:
            existing = engine.images.get(image.reference)
        except docker.errors.ImageNotFound:
            raise GiftError(f"the Docker engine has no image {image.reference} any more: {rebuild}") from None
    if existing.id != image.id or image.source_digest != files_digest(source_files(name)):
        raise GiftError(f"image {image.reference} was built from other sources than this checkout's: {rebuild}")
    return image


def read_image(name: str) -> Image | None:
    """What the newest build wrote down, or None without any.

    Raises:
        GiftError: the file is damaged.
    """
    path = BUILT / name / "image.json"
    try:
        return Image.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise GiftError(f"{path} is damaged: delete it, then run `gift images build` again") from error
