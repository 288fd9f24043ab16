"""The pipeline behind `gift check normalization`: train a policy, then show that log Z(x) drops out of its objective.

    start run → prepare data → prepare model → train SFT → convert → train policy → convert → check → finish run

Left out: benchmarks, gate and registry; what is trained here is only checked.
"""

from kfp import dsl

from components.check_normalization.component import check_normalization as check
from components.convert.component import convert
from components.finish_run.component import finish_run
from components.prepare_data.component import prepare_data
from components.prepare_model.component import prepare_model
from components.result import result_of
from components.start_run.component import start_run
from components.train_policy.component import train_policy
from components.train_sft.component import train_sft


@dsl.pipeline(name="gift-check-normalization")
def check_normalization(config: str, run_id: str) -> None:
    """Args: `config` is a RunConfig as JSON; with the `run_id` of an earlier check, its trained policy is reused."""
    with dsl.ExitHandler(finish_run(config=config, run_id=run_id)):
        parent = start_run(config=config, run_id=run_id)
        run = {"config": config, "run_id": run_id, "parent_run_id": result_of(parent)}

        data = result_of(prepare_data(**run))
        base = result_of(prepare_model(**run, data=data))
        sft_checkpoint = result_of(train_sft(**run, data=data, model=base))
        sft = result_of(convert(**run, label="sft", checkpoint=sft_checkpoint, model=base))
        checkpoint = result_of(train_policy(**run, data=data, model=sft))
        candidate = result_of(convert(**run, label="candidate", checkpoint=checkpoint, model=sft))
        check(**run, data=data, policy=candidate, reference=sft)
