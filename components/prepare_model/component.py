"""KFP component: Model configuration → base model folder in the store."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare_model(
    config: str, run_id: str, parent_run_id: str, data: str, prepared: dsl.Output[dsl.Model], label: str = ""
) -> str:
    from gift.execution.stage import run_stage
    from gift.run_page import show_directory
    from gift.stages.prepare_model import prepare_model as stage

    uri = run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
        data=data,
    )
    prepared.metadata.update(show_directory(uri, prepared.path))
    return uri
