"""KFP component: Everything the run left behind → report.json and report.html, which KFP shows, too."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(
    config: str,
    run_id: str,
    parent_run_id: str,
    data: str,
    base_results: str,
    sft_results: str,
    candidate_results: str,
    champion: str,
    verdict: str,
    model: str,
    version: str,
    page: dsl.Output[dsl.HTML],
    headline: dsl.Output[dsl.Metrics],
) -> str:
    from gift.run_page import show_page
    from gift.stages.lifecycle import run_last_stage
    from gift.stages.report import report as stage

    uri = run_last_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        data=data,
        base_results=base_results,
        sft_results=sft_results,
        candidate_results=candidate_results,
        champion=champion,
        verdict=verdict,
        model=model,
        version=version,
    )
    headline.metadata.update(show_page(uri, page.path))
    return uri
