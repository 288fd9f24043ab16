"""KFP component: close the MLflow run, however the pipeline ended (an exit handler's task)."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finish_run(config: str, run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    from gift.stages.lifecycle import finish_run as stage

    stage(config, run_id, status.state)
