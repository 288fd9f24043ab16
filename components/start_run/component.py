"""KFP component: open the MLflow run that all stages of a pipeline run are nested in."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def start_run(config: str, run_id: str) -> str:
    from gift.stages.lifecycle import start_run as stage

    return stage(config, run_id)
