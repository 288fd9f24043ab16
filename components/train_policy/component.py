"""KFP component: SFT model + prompts → weights of the trained policy, by DeepSpeed."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_policy(
    config: str, run_id: str, parent_run_id: str, data: str, model: str, trained: dsl.Output[dsl.Model], label: str = ""
) -> str:
    from gift.execution.stage import run_stage
    from gift.run_page import show_directory
    from gift.stages.train_policy import train_policy as stage

    uri = run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
        data=data,
        model=model,
    )
    trained.metadata.update(show_directory(uri, trained.path))
    return uri
