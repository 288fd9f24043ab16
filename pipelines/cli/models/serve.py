"""`gift serve`: the champion of a registered model answers questions, on a cluster or on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from gift import registry
from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from gift.promotion.registered_weights import find_checkpoint
from gift.tracking.entities import ModelVersion
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    S3Port,
    StateDir,
    console,
    escape,
    one_line_errors,
    session_services,
)
from pipelines.serve.inference_service import ACCOUNT, serving_manifest
from pipelines.serve.local_server import serve_locally

OUTPUT = Path("inference-service.yaml")
PORT = 8000


def serve_command(
    model: Annotated[str, typer.Argument(help="A registered model; its champion is served.")],
    profile: Annotated[
        str | None, typer.Option(help="For a cluster: the profile that says what a pod with this model needs.")
    ] = None,
    override: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=f"For a cluster: where the YAML goes; {OUTPUT} if not given.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Start `vllm serve` on this machine instead.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"For --local: the port on loopback; {PORT} if not given.")
    ] = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Write a KServe InferenceService for the champion, or start `vllm serve` on it here."""
    with one_line_errors("stopped; nothing is left of it"):
        if local:
            _refuse(
                {"--profile": profile, "--set": override, "--output": output}, "is for a cluster, and not for --local"
            )
            with session_services(state_dir, s3_port, mlflow_port):
                serve_locally(model, _champion(model), port or PORT, _tell)
            return
        _refuse({"--port": port}, "is for --local")
        if profile is None:
            raise GiftError("say with --profile what a pod with this model needs; or start it on this machine: --local")
        config = load_profile(profile, tuple(override or ()))
        if config.registered_model != model:
            raise GiftError(
                f"profile {profile} is one of {config.registered_model}, and not of {model}; name the profile that "
                f"the model was trained with, or --set registered_model={model}"
            )
        with session_services(state_dir, s3_port, mlflow_port):
            _write(config, _champion(model), output or OUTPUT)


def _champion(model: str) -> ModelVersion:
    reigning = registry.registered_model(model).reigning
    if reigning is None:
        raise GiftError(f"{model} has no champion to serve; `gift promote {model} --version …` makes one")
    return registry.registered_version(model, reigning)


def _write(config: RunConfig, champion: ModelVersion, output: Path) -> None:
    _, manifest = find_checkpoint(config.registered_model, champion)
    output.write_text(serving_manifest(config, champion.version, champion.source, manifest.digest()), encoding="utf-8")
    _tell(f"service     {output}: {config.registered_model} version {champion.version}")
    _tell(f"checkpoint  {champion.source}")
    _tell(f"needs       KServe, and the Secret {config.cluster.s3_secret}, which the ServiceAccount {ACCOUNT} names")
    _tell(f"apply       kubectl apply --namespace … --filename {output}")


def _refuse(options: dict[str, object], why: str) -> None:
    """Raises: GiftError: one of them was given."""
    for option, value in options.items():
        if value:
            raise GiftError(f"{option} {why}; leave it out")


def _tell(line: str) -> None:
    console.print(escape(line), soft_wrap=True, highlight=False)
