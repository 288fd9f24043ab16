"""KFP component: SFT model + prompts → GIFT checkpoint, by DeepSpeed."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_gift(config: str, run_id: str, parent_run_id: str, data: str, model: str) -> str:
    from gift.stages.stage import run_stage
    from gift.stages.train_gift import train_gift as stage

    return run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        data=data,
        model=model,
    )
