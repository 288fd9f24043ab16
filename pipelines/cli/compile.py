"""`gift compile` and `gift lint`: a profile → a pipeline for a cluster, and a look at any compiled pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from gift.config import load_profile
from gift.config.surroundings import services_of_run
from gift.errors import GiftError
from gift.host.small_file import read_small_text
from pipelines.cli.session import Overrides, Profile, console, echo_lines, escape, one_line_errors
from pipelines.kubeflow.lint import LintSettings, lint
from pipelines.kubeflow.lint.findings import MAX_BYTES, SIDE_EFFECTS

Image = Annotated[str, typer.Option(metavar="REF@sha256:…", help="The image of every stage, named by its digest.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where the pipeline goes.")]
MaxBytes = Annotated[int, typer.Option(min=1, help="The largest pipeline that passes.")]
SideEffects = Annotated[
    list[str] | None,
    typer.Option("--side-effect", metavar="COMPONENT", help="A component that must not be cached, besides the usual."),
]


def compile_command(
    profile: Profile, image: Image, output: Output = Path("pipeline.yaml"), override: Overrides = None
) -> None:
    """Write the pipeline of a profile for a cluster; refused where `gift lint` finds something."""
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines.kubeflow.compile import compile_pipeline, write_pipeline

        text = compile_pipeline(config, image)
        write_pipeline(text, output)
        secrets = dict.fromkeys(service.secret for service in services_of_run(config) if service.secret)
        console.print(f"pipeline    {output} ({len(text.encode()):,} bytes)", soft_wrap=True, highlight=False)
        console.print(f"image       {escape(image)}", soft_wrap=True, highlight=False)
        console.print(f"needs       the Secrets {', '.join(secrets)} in the namespace of its runs", soft_wrap=True)
        if config.samples_on_server:
            claim = config.cluster.vllm_weights_claim
            console.print(f"            and the PersistentVolumeClaim {claim}", soft_wrap=True)


def lint_command(
    path: Annotated[Path, typer.Argument(help="A compiled pipeline.")],
    max_bytes: MaxBytes = MAX_BYTES,
    side_effect: SideEffects = None,
) -> None:
    """Find what compiles but fails or misleads later, in any pipeline that kfp compiled."""
    with one_line_errors():
        text = read_small_text(path)
        try:
            found = lint(text, LintSettings(max_bytes, SIDE_EFFECTS + tuple(side_effect or ())))
        except GiftError as error:
            raise GiftError(f"{path}: {error}") from None
    for finding in found:
        echo_lines(f"{path}: {finding}")
    if found:
        raise typer.Exit(1)
    console.print(f"{escape(str(path))}: nothing found", soft_wrap=True, highlight=False)
