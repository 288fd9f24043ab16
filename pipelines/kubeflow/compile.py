"""`gift compile`: a profile → the pipeline as a cluster's Kubeflow Pipelines takes it (its IR, as YAML).

    configuration          ──> parameter `config`, as its default
    image, config.cluster  ──> every task (pipelines.kubeflow.cluster_settings), and what runs beside the training
    KFP's own run id       ──> every task's `run_id`

KFP puts in the id of each run. A parameter would be the same in every run of a schedule, and names of runs and of
their workflows may occur twice. No credential is in the result; it names the Secrets that hold them.

Left out: the pipelines of `gift experiment` and `gift check`. An experiment writes the configuration of every training
into one component, which with five seeds is 440 KB, and no program takes an argument of more than 128 KiB.
"""

import re
import tempfile
from pathlib import Path

from kfp import compiler, dsl

from gift.config import RunConfig
from gift.config.cluster import IMAGE_BY_DIGEST
from gift.config.surroundings import check_cluster_services
from gift.errors import GiftError
from pipelines.kubeflow.cluster_settings import cluster_placement
from pipelines.kubeflow.lint import LintSettings, lint
from pipelines.post_training import NAME, add_stages


def compile_pipeline(config: RunConfig, image: str) -> str:
    """The IR: one YAML document for KFP and one for Kubernetes.

    Args:
        image: `registry/name@sha256:…`, the image of every stage.

    Raises:
        GiftError: the image is not named by its digest, the profile lacks what a cluster needs, or `gift lint` finds
            something; each finding is a line.
    """
    if not re.fullmatch(IMAGE_BY_DIGEST, image):
        raise GiftError(
            f"the image {image} must be named by its digest (registry/name@sha256: and 64 hex digits): a tag may name "
            "another image by the time that a stage starts"
        )
    check_cluster_services(config)
    text = _compile(config, image)
    findings = lint(text, LintSettings())
    if findings:
        raise GiftError("\n  ".join(["the compiled pipeline would fail or mislead on a cluster:", *findings]))
    return text


def write_pipeline(text: str, path: Path) -> None:
    """Write the IR to `path` in one step, so that nobody reads half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            written = Path(folder) / path.name
            written.write_text(text, encoding="utf-8")
            written.replace(path)
    except OSError as error:
        raise GiftError(f"cannot write {path}: {error.strerror}") from None


def _compile(config: RunConfig, image: str) -> str:
    place = cluster_placement(config, image)
    beside, hours = config.evaluates_beside_training, config.cluster.time_to_live_hours
    seconds = None if hours is None else hours * 3600
    # All three: KFP configures Argo with an hour for each, and the one for the outcome counts.
    keep = dsl.PipelineConfig(
        ttl_seconds_after_finished=seconds, ttl_seconds_after_success=seconds, ttl_seconds_after_failure=seconds
    )

    @dsl.pipeline(name=NAME, description=config.description, pipeline_config=keep)
    def post_training(config: str) -> None:
        add_stages(config, dsl.PIPELINE_JOB_ID_PLACEHOLDER, place, evaluate_beside_training=beside)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(post_training, str(path), pipeline_parameters={"config": config.model_dump_json()})
        return path.read_text(encoding="utf-8")
