"""KFP component: Data configuration → demonstrations, prompts and benchmark problems in the store."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare_data(
    config: str, run_id: str, parent_run_id: str, problems: dsl.Output[dsl.Dataset], label: str = ""
) -> str:
    from gift.execution.stage import run_stage
    from gift.run_page import show_directory
    from gift.stages.prepare_data import prepare_data as stage

    uri = run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
    )
    problems.metadata.update(show_directory(uri, problems.path))
    return uri
