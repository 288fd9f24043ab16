"""Builds an image: sources go into a temporary folder, BuildKit makes the image and lists what is in it.

Only files that git tracks, or would track, get into the build. Secrets (a CA bundle, a pip.conf) are mounted while
packages are installed and stay in no layer.

Left out: other platforms than the engine's own, and signatures.
"""

import configparser
import fcntl
import json
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker

from gift.errors import GiftError
from pipelines.images.describe import BUILT, CHECKOUT, Image, Variant, expected_labels, read_image, source_files
from pipelines.install.pip_settings import find_links
from pipelines.install.torch_build import torch_pin
from pipelines.machine import processes
from pipelines.machine.docker_engine import buildkit_client, docker_engine, image_digest, logged

SBOM = "sbom.cdx.json"


@dataclass(frozen=True)
class BuildOptions:
    """`ca` and `pip_config` are files that the build may read; the image is pushed to `registry`, if there is one."""

    variant: Variant
    base: str
    ca: Path | None = None
    pip_config: Path | None = None
    registry: str | None = None
    tag: str | None = None

    def reference(self, name: str) -> str:
        """What the image is called: `gift:cpu`, `registry.example/gift:v1`."""
        prefix = f"{self.registry}/" if self.registry else ""
        return f"{prefix}{name}:{self.tag or self.variant}"


def build_image(name: str, options: BuildOptions, say: Callable[[str], None]) -> tuple[Image, bool]:
    """Build (and push) `images/<name>/Dockerfile`; returns the image, and False if it was up to date already.

    `say` is told which build of torch a CPU image gets.

    Raises:
        GiftError: no engine, no client with BuildKit, no base image, or a failed build, whose last lines and log are
            named.
    """
    for option, value in (("--base", options.base), ("--push", options.registry), ("--tag", options.tag)):
        if value is not None and not value.strip():
            raise GiftError(f"{option} is empty; leave it out, or check the variable that it comes from")
    folder = BUILT / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="gift-image-") as temporary:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another build of this checkout writes to the same folder
            return _build(name, options, folder, Path(temporary), say)
    except OSError as error:
        raise GiftError(f"cannot build image {name}: {error}") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise GiftError(f"cannot build image {name}: a configuration file of pip is damaged: {error}") from error


def _build(
    name: str, options: BuildOptions, folder: Path, context: Path, say: Callable[[str], None]
) -> tuple[Image, bool]:
    log = folder / "build.log"
    reference = options.reference(name)
    labels = expected_labels(name, options.variant, _base_digest(options.base))
    up_to_date = _is_up_to_date(name, reference, labels)
    if not up_to_date:
        _stage(name, context)
        build = _build_command(buildkit_client(), name, options, labels, context)
        log.write_bytes(b"")
        if options.variant == "cpu":
            build += ["--build-arg", f"TORCH={_ask_for_torch(build, context, log, say)}"]
        _run([*build, "--tag", reference, str(context)], log, "ab", f"building {reference}")
        _run([*build, "--target", "sbom", "--output", str(context), str(context)], log, "ab", f"listing {reference}")
    if options.registry:
        _run([buildkit_client(), "push", reference], log, "ab", f"pushing {reference}")
    image = _describe(reference, labels, options)
    if not up_to_date:
        _write_sbom(context / SBOM, folder / SBOM, image)
    (folder / "image.json").write_text(image.model_dump_json(indent=2), encoding="utf-8")
    return image, not up_to_date


def _write_sbom(made: Path, target: Path, image: Image) -> None:
    """The list that the build made, with the image that it is of."""
    sbom = json.loads(made.read_bytes())
    facts = {"gift:image-id": image.id, "gift:git-sha": image.git_sha, "gift:source-digest": image.source_digest}
    sbom.setdefault("metadata", {})["properties"] = [{"name": key, "value": fact} for key, fact in facts.items()]
    target.write_text(json.dumps(sbom, indent=1), encoding="utf-8")


def _base_digest(base: str) -> str:
    with docker_engine() as engine:
        try:
            return image_digest(engine.images.get(base).attrs)
        except docker.errors.ImageNotFound:
            pass
        try:
            engine.images.pull(base)
            return image_digest(engine.images.get(base).attrs)
        except docker.errors.APIError as error:
            fault = error.explanation or error
            raise GiftError(
                f"base image {base} is not on this machine and cannot be pulled ({fault}); name another with --base"
            ) from error


def _is_up_to_date(name: str, reference: str, labels: dict[str, str]) -> bool:
    written = read_image(name)
    if written is None or not (BUILT / name / SBOM).is_file():
        return False
    with docker_engine() as engine:
        try:
            existing = engine.images.get(reference)
        except docker.errors.ImageNotFound:
            return False
    if existing.id != written.id or not labels.items() <= existing.labels.items():
        return False
    had_no_cpu_build = written.variant == "cpu" and existing.labels.get("gift.torch") == "cuda"
    return not (had_no_cpu_build and cpu_wheels())


def _stage(name: str, context: Path) -> None:
    """Put all that the build may see into an empty folder."""
    for path in source_files(name):
        target = context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / path, target)
    (context / "wheels").mkdir()
    for wheel in cpu_wheels():
        shutil.copyfile(wheel, context / "wheels" / wheel.name)


def cpu_wheels() -> list[Path]:
    """The CPU build of torch, from folders that this machine's pip is told: a build has no other way to reach them."""
    name = torch_pin().replace("==", "-")
    return [wheel for folder in map(Path, find_links()) for wheel in sorted(folder.glob(f"{name}+cpu-*.whl"))]


def _ask_for_torch(build: list[str], context: Path, log: Path, say: Callable[[str], None]) -> str:
    """Which build of torch there is for the image, as the engine sees indexes: `cpu` or `cuda`."""
    answer = context / "torch"
    _run([*build, "--target", "torch-answer", "--output", str(answer), str(context)], log, "ab", "looking for torch")
    say((answer / "reason").read_text(encoding="utf-8").strip())
    return "cpu" if "+cpu" in (answer / "arguments").read_text(encoding="utf-8") else "cuda"


def _build_command(client: str, name: str, options: BuildOptions, labels: dict[str, str], context: Path) -> list[str]:
    arguments = {
        "BASE": options.base,
        "BASE_DIGEST": labels["org.opencontainers.image.base.digest"],
        "VARIANT": options.variant,
        "VERSION": tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "GIT_SHA": labels["org.opencontainers.image.revision"],
        "FOUNDATION_DIGEST": labels["gift.foundation-digest"],
        "LOCK_DIGEST": labels["gift.lock-digest"],
        "SOURCE_DIGEST": labels["gift.source-digest"],
        "ASKED": str(time.time()),
    }
    secrets = {"ca": options.ca, "pip": options.pip_config}
    return [
        *(client, "build", "--progress", "plain", "--file", str(context / "images" / name / "Dockerfile")),
        *(word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")),
        *(word for key, path in secrets.items() if path for word in ("--secret", f"id={key},src={path.resolve()}")),
    ]


def _run(command: list[str], log: Path, mode: str, doing: str) -> None:
    if not logged(command, log, mode):
        raise GiftError(f"{doing} failed: {processes.last_lines(log)}; the whole log is {log}")


def _describe(reference: str, labels: dict[str, str], options: BuildOptions) -> Image:
    with docker_engine() as engine:
        built = engine.images.get(reference)
    repository = reference.rpartition(":")[0]
    pushed = (digest for digest in built.attrs["RepoDigests"] or () if digest.startswith(f"{repository}@"))
    return Image(
        reference=reference,
        id=built.id,
        digest=next(pushed, None) if options.registry else None,  # some engines give unpushed images one as well
        git_sha=labels["org.opencontainers.image.revision"],
        source_digest=labels["gift.source-digest"],
        lock_digest=labels["gift.lock-digest"],
        variant=options.variant,
        base=options.base,
        size_bytes=built.attrs["Size"],
    )
