"""Experiments: several ways to train, compared from the same SFT models with the same seeds.

An `Experiment` is a plain list of variants. `plan_experiment` turns it into whole configurations, all of them checked
before anything starts; `pipelines.experiment` makes a DAG of them. A run's id is the digest of all that
decides its trainings, so the same experiment started again finds the finished ones in the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gift.config import RunConfig, digest_of, load_profile
from gift.errors import GiftError
from gift.fingerprint.library import source_digest
from gift.report.comparison.plan import ExperimentPlan, PlannedVariant

SHARED = ("experiment", "storage", "model", "data", "prompt", "sft", "conversion", "evaluation", "gate")
"""Sections that variants must not change: they decide the start and the measure, which are the same for all."""

TRAINED_BY = ("gift.stages.train_policy", "gift.stages.convert", "gift.stages.evaluate")
"""What these can reach decides the results; started again with other source, it is another experiment."""

METRICS = ("reward", "heldout_accuracy", "overfitting_gap", "kl", "entropy", "completions/mean_length")


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    name: str
    """Part of stage names: small letters, digits, dots and hyphens."""
    label: str
    """For tables."""
    settings: tuple[str, ...] = ()
    """`key=value`, as after --set."""
    learning_rate: float = 1.0
    """Factor on the profile's `rl.optimizer.learning_rate`; the grid lies around it."""


@dataclass(frozen=True)
class Experiment:
    """What is compared, and why."""

    name: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    baseline: str
    """Name of the variant that the others are compared with."""
    settings: tuple[str, ...] = ()
    """`key=value` for all variants; the user's --set comes after them, a variant's settings last."""
    multipliers: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    """The grid of learning rates, as factors."""
    metrics: tuple[str, ...] = METRICS
    """Training metrics to show, as the trainer names them."""
    options: tuple[str, ...] = ()
    """Options of its own that its command was given."""


@dataclass(frozen=True)
class PlannedExperiment:
    """An experiment with every configuration it needs."""

    plan: ExperimentPlan
    run_id: str
    base: RunConfig
    """What all variants share, with the first seed."""
    starts: Mapping[int, RunConfig]
    """Seed → configuration of data, base model and SFT."""
    trials: Mapping[tuple[str, int, float], RunConfig]
    """Variant, seed and learning rate → configuration. A tuned variant has its first rate for the seeds; the pipeline
    puts the chosen one in its place."""

    @property
    def trainings(self) -> int:
        """How many policies are trained."""
        plan, tuned = self.plan, self.plan.tuning_seed is not None
        grid = sum(len(variant.learning_rates) for variant in plan.variants) if tuned else 0
        reused = len(plan.variants) if plan.tuning_seed in plan.seeds else 0
        return grid + len(plan.variants) * len(plan.seeds) - reused


def plan_experiment(
    experiment: Experiment,
    profile: str,
    overrides: tuple[str, ...] = (),
    *,
    seeds: tuple[int, ...],
    tuning_seed: int | None,
) -> PlannedExperiment:
    """Derive and check every configuration.

    Args:
        experiment: what is compared.
        profile: a name from `gift profiles`, or the path of a YAML file.
        overrides: the user's `key=value`, for all variants.
        seeds: of the trainings that are compared.
        tuning_seed: the learning rates are chosen with this seed; None to train each variant with its own rate.

    Raises:
        GiftError: a configuration is refused, or a variant changes what all of them share.
    """
    shared = (*experiment.settings, *overrides)
    all_seeds = tuple(dict.fromkeys((*seeds, *(() if tuning_seed is None else (tuning_seed,)))))
    starts = {seed: load_profile(profile, (*shared, f"seed={seed}")) for seed in all_seeds}
    base = starts[seeds[0]]
    multipliers = (1.0,) if tuning_seed is None else experiment.multipliers
    variants, trials = [], {}
    for variant in experiment.variants:
        rates = _learning_rates(base, variant, multipliers)
        for seed in all_seeds:
            for rate in rates if seed == tuning_seed else rates[:1]:
                own = (*variant.settings, f"seed={seed}", f"rl.optimizer.learning_rate={rate!r}")
                trials[variant.name, seed, rate] = load_profile(profile, (*shared, *own))
        config = trials[variant.name, seeds[0], rates[0]]
        _refuse_unlike(variant, base, config)
        variants.append(_planned(variant, rates, config))
    plan = ExperimentPlan(
        name=experiment.name,
        title=experiment.title,
        question=experiment.question,
        profile=base.description,
        command=_command(experiment, seeds, tuning_seed),
        shared_settings=shared,
        seeds=seeds,
        tuning_seed=tuning_seed,
        baseline=experiment.baseline,
        benchmark=_benchmark(base),
        metrics=experiment.metrics,
        variants=tuple(variants),
    )
    return PlannedExperiment(plan, _run_id(plan, base, profile), base, starts, trials)


def _planned(variant: Variant, rates: tuple[float, ...], config: RunConfig) -> PlannedVariant:
    return PlannedVariant(
        name=variant.name,
        label=variant.label,
        settings=variant.settings,
        learning_rates=rates,
        responses=config.rl.steps * config.rl.prompts_per_step * config.rollout.group_size,
    )


def _run_id(plan: ExperimentPlan, base: RunConfig, profile: str) -> str:
    """The same for the same trainings, whatever the number of seeds: more seeds later train only what is new."""
    digest = digest_of(source_digest(TRAINED_BY), plan.name, plan.tuning_seed, *plan.variants, base)
    return f"{plan.name}-{Path(profile).stem}-{digest[:8]}"


def _learning_rates(base: RunConfig, variant: Variant, multipliers: tuple[float, ...]) -> tuple[float, ...]:
    """Ascending, to three significant digits, so that the text of a rate is the rate."""
    middle = base.rl.optimizer.learning_rate * variant.learning_rate
    return tuple(sorted(float(f"{middle * multiplier:.3g}") for multiplier in multipliers))


def _refuse_unlike(variant: Variant, base: RunConfig, config: RunConfig) -> None:
    for name in SHARED:
        if getattr(config, name) != getattr(base, name):
            raise GiftError(f"variant {variant.name} changes {name}, which all variants of an experiment must share")


def _benchmark(base: RunConfig) -> str:
    """Sampled accuracy, which is pass@1 and tells more than greedy answers, where it is measured."""
    tasks = [benchmark.task for benchmark in base.evaluation.benchmarks]
    return "heldout_sampled" if "heldout_sampled" in tasks else base.gate.benchmarks[0].benchmark


def _command(experiment: Experiment, seeds: tuple[int, ...], tuning_seed: int | None) -> str:
    tune = "--no-tune" if tuning_seed is None else "--tune"
    return " ".join(("gift experiment", experiment.name, *experiment.options, f"--seeds {len(seeds)}", tune))
