"""KFP component: Evaluations at several learning rates → the best rate."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def choose_learning_rate(
    config: str, run_id: str, parent_run_id: str, label: str, candidates: dict[str, str], benchmark: str
) -> str:
    from gift.execution.stage import run_stage
    from gift.stages.choose_learning_rate import choose_learning_rate as stage

    return run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
        candidates=candidates,
        benchmark=benchmark,
    )
