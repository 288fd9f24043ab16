"""The pipeline: data → SFT → GIFT (or another objective) → conversion → benchmarks → gate → registry → report.

    start run → prepare data → prepare model → train SFT → convert → train policy → convert
              → evaluate base, SFT, candidate and champion → gate → register → report → finish run

Or base and SFT are evaluated beside the trainings, as soon as their models are there: a cluster may have room for both.
Between the stages travel only `s3://` URIs and words, never files; typed artifacts are for KFP's page alone. There is
no `If`: the verdict is an input of `register`, so that a run which keeps the old champion shows every stage as done and
says why.

Left out: where the stages run. Whoever builds the pipeline is shown each task, and places it.
"""

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl import PipelineTask
from kfp.dsl.base_component import BaseComponent

from components.convert.component import convert
from components.evaluate.component import evaluate
from components.evaluate_champion.component import evaluate_champion
from components.finish_run.component import finish_run
from components.gate.component import gate
from components.prepare_data.component import prepare_data
from components.prepare_model.component import prepare_model
from components.register.component import register
from components.report.component import report
from components.result import result_of
from components.start_run.component import start_run
from components.train_policy.component import train_policy
from components.train_sft.component import train_sft

NAME = "gift-post-training"

Place = Callable[[PipelineTask, str], None]
"""Is shown each task with the name of its stage (as in MLflow), and may set the image, resources and so on."""


def add_stages(config: Any, run_id: Any, place: Place, *, evaluate_beside_training: bool) -> None:
    """Add the tasks to the pipeline that is being built.

    Args:
        config: a RunConfig as JSON.
        run_id: a name that no other run of this store has.
        place: is shown every task.
        evaluate_beside_training: else the stages come one after the other, as kfp's local runner needs it: it goes on
            with all that does not depend on a failed task.
    """

    def stage(component: BaseComponent, **inputs: Any) -> PipelineTask:
        task = component(config=config, run_id=run_id, **inputs)
        place(task, "-".join(part for part in (component.name, inputs.get("label")) if part))
        return task

    with dsl.ExitHandler(stage(finish_run)):
        run = {"parent_run_id": result_of(stage(start_run))}

        data = result_of(stage(prepare_data, **run))
        base = result_of(stage(prepare_model, **run, data=data))
        sft_checkpoint = result_of(stage(train_sft, **run, data=data, model=base))
        sft = result_of(stage(convert, **run, label="sft", checkpoint=sft_checkpoint, model=base))
        checkpoint = result_of(stage(train_policy, **run, data=data, model=sft))
        conversion = stage(convert, **run, label="candidate", checkpoint=checkpoint, model=sft)
        candidate = result_of(conversion)

        base_evaluation = stage(evaluate, **run, label="base", data=data, model=base)
        if not evaluate_beside_training:
            base_evaluation.after(conversion)
        # One evaluation after the other in any case, so that one pod at most is beside the training's.
        sft_evaluation = stage(evaluate, **run, label="sft", data=data, model=sft).after(base_evaluation)
        candidate_evaluation = stage(evaluate, **run, label="candidate", data=data, model=candidate)
        candidate_evaluation.after(sft_evaluation)
        champion = result_of(stage(evaluate_champion, **run, data=data).after(candidate_evaluation))
        base_results, sft_results = result_of(base_evaluation), result_of(sft_evaluation)
        candidate_results = result_of(candidate_evaluation)

        results = {"base_results": base_results, "sft_results": sft_results, "candidate_results": candidate_results}
        verdict = result_of(stage(gate, **run, **results, champion=champion))
        version = result_of(
            stage(register, **run, model=candidate, candidate_results=candidate_results, verdict=verdict)
        )
        stage(
            report,
            **run,
            data=data,
            **results,
            champion=champion,
            verdict=verdict,
            model=candidate,
            version=version,
        )


def post_training_pipeline(place: Place) -> BaseComponent:
    """For this machine, one stage after the other; of `config` (a RunConfig as JSON) and `run_id` (a name that no other
    run of this store has)."""

    @dsl.pipeline(name=NAME)
    def post_training(config: str, run_id: str) -> None:
        add_stages(config, run_id, place, evaluate_beside_training=False)

    return post_training


post_training = post_training_pipeline(lambda _task, _stage: None)
