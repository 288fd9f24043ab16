"""KFP component: policy + reference → proof that log Z(x) drops out of the normalised implicit rewards."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check_normalization(config: str, run_id: str, parent_run_id: str, data: str, policy: str, reference: str) -> str:
    from gift.stages.check_normalization import check_normalization as stage
    from gift.stages.lifecycle import run_last_stage

    return run_last_stage(
        stage,
        config=config,
        run_id=run_id,
        parent_run_id=parent_run_id,
        data=data,
        policy=policy,
        reference=reference,
    )
