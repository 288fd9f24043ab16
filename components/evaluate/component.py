"""KFP component: One model → lm-eval benchmark results."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    config: str, run_id: str, parent_run_id: str, label: str, data: str, model: str, scores: dsl.Output[dsl.Metrics]
) -> str:
    from gift.execution.stage import run_stage
    from gift.run_page import show_scores
    from gift.stages.evaluate import evaluate as stage

    uri = run_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        label=label,
        data=data,
        model=model,
    )
    scores.metadata.update(show_scores(uri))
    return uri
