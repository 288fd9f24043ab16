"""KFP component: All evaluations of an experiment → comparison.json and comparison.html."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare(
    config: str, run_id: str, parent_run_id: str, plan: str, evaluations: dict[str, str], learning_rates: dict[str, str]
) -> str:
    from gift.stages.compare import compare as stage
    from gift.stages.lifecycle import run_last_stage

    return run_last_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        plan=plan,
        evaluations=evaluations,
        learning_rates=learning_rates,
    )
