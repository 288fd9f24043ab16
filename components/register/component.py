"""KFP component: Candidate + verdict → registered model version; moves the alias champion."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(config: str, run_id: str, parent_run_id: str, model: str, candidate_results: str, verdict: str) -> str:
    from gift.execution.stage import run_stage
    from gift.stages.register import register as stage

    return run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        model=model,
        candidate_results=candidate_results,
        verdict=verdict,
    )
