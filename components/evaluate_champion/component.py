"""KFP component: The reigning champion → its results, evaluated as this run evaluates its own models."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_champion(config: str, run_id: str, parent_run_id: str, data: str) -> str:
    from gift.execution.stage import run_stage
    from gift.stages.evaluate_champion import evaluate_champion as stage

    return run_stage(stage, config=config, run_id=run_id, parent_run_id=parent_run_id, data=data)
