"""The DAG of an experiment.

    per seed:     prepare data → prepare model → train SFT → convert → evaluate
    tuning seed:  per variant and learning rate: train policy → convert → evaluate;  then choose the rate
    per seed and variant: configure (the chosen rate) → train policy → convert → evaluate;  at the end compare

Only the chosen rate is decided while the DAG runs, and it travels as a word; there is no `If`. The tuning seed's
training at the chosen rate is not made twice: the stage finds it in the store.

Left out: trainings side by side. The tasks form one line, as kfp's local runner goes on with all that does not depend
on a failed task.
"""

from dataclasses import dataclass, field
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.choose_learning_rate.component import choose_learning_rate
from components.compare.component import compare
from components.configure.component import configure
from components.convert.component import convert
from components.evaluate.component import evaluate
from components.finish_run.component import finish_run
from components.prepare_data.component import prepare_data
from components.prepare_model.component import prepare_model
from components.result import result_of
from components.start_run.component import start_run
from components.train_policy.component import train_policy
from components.train_sft.component import train_sft
from gift.report.comparison.plan import START, PlannedVariant, rate_text, trial_label
from pipelines.experiments.experiment import PlannedExperiment


@dataclass
class _Line:
    """Tasks one after the other, all in one run."""

    run: dict[str, Any]
    last: Any

    def add(self, component: BaseComponent, shown: str, **arguments: Any) -> Any:
        """Append a task, which the platform shows with this label, and return its output."""
        task = component(**arguments).after(self.last)
        task.set_display_name(f"{component.name}-{shown}")
        self.last = task
        return result_of(task)

    def stage(self, component: BaseComponent, config: Any, label: str, **inputs: Any) -> Any:
        """Append a task that is a stage with an MLflow run of its own."""
        return self.add(component, label, **self.run, config=config, label=label, **inputs)


@dataclass
class _Start:
    """What a seed's trainings start from: URIs that earlier tasks give out."""

    data: Any
    model: Any


@dataclass
class _Builder:
    """Appends the parts of the experiment to the line of tasks."""

    planned: PlannedExperiment
    line: _Line
    starts: dict[int, _Start] = field(default_factory=dict)
    evaluations: dict[str, Any] = field(default_factory=dict)

    def start(self, seed: int) -> _Start:
        """Data, SFT model and its evaluation; made when a seed is first needed."""
        if seed not in self.starts:
            stage, config, label = self.line.stage, self.planned.starts[seed].model_dump_json(), f"seed{seed}"
            data = stage(prepare_data, config, label)
            base = stage(prepare_model, config, label, data=data)
            checkpoint = stage(train_sft, config, label, data=data, model=base)
            model = stage(convert, config, trial_label(START, seed), checkpoint=checkpoint, model=base)
            self.starts[seed] = _Start(data, model)
            self._evaluate(config, trial_label(START, seed), seed, model)
        return self.starts[seed]

    def train(self, config: Any, label: str, seed: int) -> None:
        """Train, convert and evaluate one policy."""
        start = self.start(seed)
        checkpoint = self.line.stage(train_policy, config, label, data=start.data, model=start.model)
        model = self.line.stage(convert, config, label, checkpoint=checkpoint, model=start.model)
        self._evaluate(config, label, seed, model)

    def tune(self, variant: PlannedVariant, seed: int) -> Any:
        """Try the grid; returns the rate that will be chosen."""
        plan, candidates = self.planned.plan, {}
        for rate in variant.learning_rates:
            label = trial_label(variant.name, seed, rate)
            config = self.planned.trials[variant.name, seed, rate].model_dump_json()
            self.train(config, label, seed)
            candidates[rate_text(rate)] = self.evaluations[label]
        config = self.planned.base.model_dump_json()
        return self.line.stage(
            choose_learning_rate, config, variant.name, candidates=candidates, benchmark=plan.benchmark
        )

    def compared(self, variant: PlannedVariant, seed: int, chosen: Any | None) -> None:
        """The training that is compared, with the chosen rate where there is one."""
        label = trial_label(variant.name, seed)
        config = self.planned.trials[variant.name, seed, variant.learning_rates[0]].model_dump_json()
        if chosen is not None:
            config = self.line.add(configure, label, config=config, learning_rate=chosen)
        self.train(config, label, seed)

    def _evaluate(self, config: Any, label: str, seed: int, model: Any) -> None:
        data = self.starts[seed].data
        self.evaluations[label] = self.line.stage(evaluate, config, label, data=data, model=model)


def build_pipeline(planned: PlannedExperiment) -> Any:
    """The experiment as a kfp pipeline of `config` (what all variants share, as JSON) and `run_id`."""
    plan = planned.plan

    @dsl.pipeline(name=f"gift-{plan.name}")
    def experiment(config: str, run_id: str) -> None:
        with dsl.ExitHandler(finish_run(config=config, run_id=run_id)):
            parent = start_run(config=config, run_id=run_id)
            run = {"run_id": run_id, "parent_run_id": result_of(parent)}
            builder = _Builder(planned, _Line(run, parent))
            chosen: dict[str, Any] = {}
            if plan.tuning_seed is not None:
                chosen = {variant.name: builder.tune(variant, plan.tuning_seed) for variant in plan.variants}
            for seed in plan.seeds:
                for variant in plan.variants:
                    builder.compared(variant, seed, chosen.get(variant.name))
            rates = {variant.name: rate_text(variant.learning_rates[0]) for variant in plan.variants} | chosen
            builder.line.add(
                compare,
                plan.name,
                **run,
                config=config,
                plan=plan.model_dump_json(),
                evaluations=builder.evaluations,
                learning_rates=rates,
            )

    return experiment
