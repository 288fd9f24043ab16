"""What the two training stages share: fetch the inputs, launch the ranks, send late metrics after them.

The MLflow run of the stage gets the settings that decide the training as parameters, and the node's system metrics.

While the ranks train they leave checkpoints to go on from at `<storage>/runs/<run id>/resume/<stage>/<digest>` (see
`gift.training.resume`). The digest is that of the output: what was made with another configuration, other inputs or
other code is never gone on from; nor what other ranks have made, unless the profile allows it (`compute.elastic`).
"""

from pathlib import Path
from typing import Any, Literal

from gift.config import RlConfig, RunConfig, SftConfig, flatten
from gift.errors import GiftError
from gift.execution.output import Output, output_digest
from gift.execution.stage import Stage, scratch_folder
from gift.hub.mirror import with_reward_models
from gift.launch.one_node import launch_ranks
from gift.launch.rank_job import ResumeSettings, TrainingJob
from gift.storage import delete_directory, list_paths
from gift.system_metrics import system_metrics
from gift.tracking import send_late_metrics

CHECKPOINTS: Literal["checkpoints"] = "checkpoints"
"""Kind of the outputs."""


def train_once(stage: Stage, module: str, output: Output, metadata: dict[str, str] | None = None) -> str:
    """The URI of the weights that the ranks of `module` train, unless it is there; see `Stage.make_once`.

    Raises:
        GiftError: a rank failed; its own words are repeated.
    """
    config, data, model = stage.config, output.inputs["data"], output.inputs["model"]
    own = f"{config.storage.uri}/runs/{stage.run_id}"
    resumable, nodes = f"{own}/resume/{stage.name}", f"{own}/nodes/{stage.name}"
    digest = output_digest(output.kind, stage.patiently(output.decisions))
    facts = {"module": module, "ranks": str(config.compute.ranks), "zero_stage": str(config.compute.zero_stage)}
    facts |= metadata or {}

    stage.tracking.log_params(flatten(dict(output.settings)))

    def make(folder: Path) -> dict[str, str]:
        stage.patiently(lambda: _name_what_does_not_fit(resumable, digest))
        run_training(stage, module, data, model, folder, f"{resumable}/{digest}")
        return facts

    def make_on_nodes() -> tuple[list[str], dict[str, str]]:
        from gift.execution.train_on_nodes import train_on_nodes  # loads Kubernetes' models

        stage.patiently(lambda: _name_what_does_not_fit(resumable, digest))
        return train_on_nodes(stage, module, data, model, f"{resumable}/{digest}", f"{nodes}/{digest}"), facts

    if config.compute.nodes == 1:
        uri = stage.make_once(output, make)
    else:
        uri = stage.compose_once(output, make_on_nodes)
        _remove_leftovers(nodes)
    _remove_leftovers(resumable)
    return uri


def _remove_leftovers(uri: str) -> None:
    """The work is stored by now, and does not fail because a store that went away keeps what nobody needs."""
    try:
        delete_directory(uri)
    except GiftError as error:
        print(f"  {uri} is not needed any more, and stays: {error}", flush=True)


def compute_settings(config: RunConfig) -> dict[str, Any]:
    """What of `compute` decides a training."""
    return config.compute.model_dump(mode="json", exclude=config.compute.undecided)


def training_settings(config: RunConfig, section: SftConfig | RlConfig) -> dict[str, Any]:
    """What of `sft` or `rl` decides a training: how often it leaves a checkpoint only where it may go back to one."""
    rewinds = config.health.sick_update == "rewind"
    return section.model_dump(mode="json", exclude=set() if rewinds else {"checkpoint_every"})


def health_settings(config: RunConfig) -> dict[str, Any]:
    """What of `health` decides which updates are taken; its other limits end a training, and nothing is stored."""
    return config.health.model_dump(mode="json", include={"sick_update", "gradient_norm_factor"})


def run_training(stage: Stage, module: str, data: str, model: str, checkpoint: Path, resume_uri: str) -> None:
    """Train with the ranks of `module`, from the newest checkpoint at `resume_uri`, and leave theirs in `checkpoint`.

    Raises:
        GiftError: a rank failed; its own words are repeated.
    """
    config = stage.config
    with stage.fetched(model, data) as (model_folder, data_folder), scratch_folder() as scratch:
        job = TrainingJob(
            config=with_reward_models(config, scratch / "reward-models") if config.samples else config,
            model=model_folder,
            data=data_folder,
            checkpoint=checkpoint,
            mlflow_run_id=stage.tracking.run_id,
            metric_spool=scratch / "metrics.jsonl",
            resume=ResumeSettings(uri=resume_uri, folder=scratch / "resume"),
        )
        job_file = scratch / "job.json"
        job_file.write_text(job.model_dump_json(), encoding="utf-8")
        try:
            with system_metrics(stage.tracking.run_id, scratch / "system-metrics.jsonl") as look:
                launch_ranks(module, job_file, config.compute, watch=look)
        finally:
            send_late_metrics(job.metric_spool, stage.tracking.run_id)


def _name_what_does_not_fit(resumable: str, digest: str) -> None:
    for other in sorted({path.partition("/")[0] for path in list_paths(resumable)} - {digest}):
        print(
            f"  ignored {resumable}/{other}: made with another configuration, other inputs or other code",
            flush=True,
        )
