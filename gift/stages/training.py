"""What the two training stages share: fetch the inputs, launch the ranks, send late metrics after them."""

from pathlib import Path

from gift.config import RunConfig
from gift.mirror import with_reward_models
from gift.stages.stage import Stage, scratch_folder
from gift.tracking import replay_spool
from gift.training.job import TrainingJob
from gift.training.launch import launch_ranks


def run_training(stage: Stage, module: str, data: str, model: str, checkpoint: Path) -> dict[str, str]:
    """Train with the ranks of `module` and leave their checkpoint in `checkpoint`; returns manifest metadata.

    Raises:
        GiftError: a rank failed; its own words are repeated.
    """
    config: RunConfig = stage.config
    with stage.fetched(model, data) as (model_folder, data_folder), scratch_folder() as scratch:
        job = TrainingJob(
            config=with_reward_models(config, scratch / "reward-models"),
            model=model_folder,
            data=data_folder,
            checkpoint=checkpoint,
            mlflow_run_id=stage.tracking.run_id,
            metric_spool=scratch / "metrics.jsonl",
        )
        job_file = scratch / "job.json"
        job_file.write_text(job.model_dump_json(), encoding="utf-8")
        try:
            launch_ranks(module, job_file, config.compute)
        finally:
            unsent = replay_spool(job.metric_spool, stage.tracking.run_id)
            if unsent:
                print(f"  MLflow is away: {unsent} metrics of this stage are lost to it", flush=True)
    return {"module": module, "ranks": str(config.compute.ranks), "zero_stage": str(config.compute.zero_stage)}
