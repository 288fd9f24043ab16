"""`gift images …`: build the images that stages run in."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.session import console, one_line_errors

app = typer.Typer(help="Build the container images that stages run in.", no_args_is_help=True)


@app.command()
def build(
    cpu: Annotated[bool, typer.Option("--cpu", help="Build for machines without a GPU.")] = False,
    base: Annotated[
        str,
        typer.Option(envvar="GIFT_IMAGE_BASE", help="A Debian with Python 3.11, venv, pip and CA certificates."),
    ] = "python:3.11-slim-bookworm",
    ca: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, envvar="GIFT_IMAGE_CA", help="A CA bundle for the build."),
    ] = None,
    pip_config: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A pip.conf for the build, e.g. with your index.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="REGISTRY", help="Push to this registry, and print the digest.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="`cpu` or `gpu` if not given.")] = None,
) -> None:
    """Build every image of this checkout; one that is up to date is left as it is."""
    with one_line_errors("interrupted; the image is as it was"):
        # The Docker SDK is not needed by other commands.
        from pipelines.images.build import BuildOptions, build_image
        from pipelines.images.describe import BUILT, image_names

        def say(line: str) -> None:
            console.print(line, soft_wrap=True, markup=False)

        options = BuildOptions("cpu" if cpu else "gpu", base, ca, pip_config, push, tag)
        for name in image_names():
            with console.status(f"building {options.reference(name)}; {BUILT / name / 'build.log'} has the details"):
                image, built = build_image(name, options, say)
            console.print(f"{'built' if built else 'up to date':<11} {image.reference}", soft_wrap=True)
            console.print(f"id          {image.id}", soft_wrap=True)
            if image.digest:
                console.print(f"digest      {image.digest}", soft_wrap=True)
            console.print(f"size        {image.size_bytes / 1e9:.2f} GB", soft_wrap=True)
            console.print(f"contents    {BUILT / name / 'sbom.cdx.json'}", soft_wrap=True)
