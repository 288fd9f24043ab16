"""KFP component: Benchmark results → verdict: may the candidate become champion?"""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    config: str,
    run_id: str,
    parent_run_id: str,
    base_results: str,
    sft_results: str,
    candidate_results: str,
    champion: str,
) -> str:
    from gift.execution.stage import run_stage
    from gift.stages.gate import gate as stage

    return run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        base_results=base_results,
        sft_results=sft_results,
        candidate_results=candidate_results,
        champion=champion,
    )
