"""KFP component: trained weights → Hugging Face safetensors."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def convert(
    config: str,
    run_id: str,
    parent_run_id: str,
    label: str,
    checkpoint: str,
    model: str,
    converted: dsl.Output[dsl.Model],
) -> str:
    from gift.execution.stage import run_stage
    from gift.run_page import show_directory
    from gift.stages.convert import convert as stage

    uri = run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
        checkpoint=checkpoint,
        model=model,
    )
    converted.metadata.update(show_directory(uri, converted.path))
    return uri
