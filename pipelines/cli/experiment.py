"""`gift experiment …`: plan, check, run, and print what came out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gift.config import RunConfig, load_profile
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    echo_lines,
    escape,
    local_disks,
    one_line_errors,
    session_services,
)
from pipelines.experiments.baselines import baselines
from pipelines.experiments.experiment import Experiment, PlannedExperiment, plan_experiment
from pipelines.experiments.gift_options import gift_options
from pipelines.experiments.head_to_head import head_to_head
from pipelines.experiments.length import length
from pipelines.experiments.long_training import long_training
from pipelines.experiments.overfitting import overfitting
from pipelines.experiments.rollout_ablation import Budget, rollout_ablation
from pipelines.experiments.staleness import staleness
from pipelines.experiments.wrong_rewards import wrong_rewards

Seeds = Annotated[int, typer.Option(min=1, max=100, help="How many seeds, counted up from the profile's.")]
Tune = Annotated[bool, typer.Option(help="Choose each variant's learning rate from a grid, with the first seed.")]

app = typer.Typer(
    help="Compare ways to train, with several seeds each. Started again, an experiment goes on where it stopped.",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class _Settings:
    """What every experiment is told on the command line."""

    profile: str
    seeds: int
    tune: bool
    overrides: tuple[str, ...]
    runs: Path
    state_dir: Path
    s3_port: int
    mlflow_port: int


@app.command("rollout-ablation")
def rollout_ablation_command(
    profile: Profile,
    seeds: Seeds = 3,
    tune: Tune = False,
    budget: Annotated[Budget, typer.Option(help="What stays the same per step for every group size.")] = Budget.prompts,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Responses per prompt from 2 to 32, and the sum over tokens against the mean."""
    settings = _Settings(profile, seeds, tune, tuple(override or ()), runs, state_dir, s3_port, mlflow_port)
    _run(lambda base: rollout_ablation(base, budget), settings)


@app.command("overfitting")
def overfitting_command(
    profile: Profile,
    seeds: Seeds = 3,
    tune: Tune = False,
    prompts: Annotated[int, typer.Option(min=1, help="How many prompts are trained on.")] = 256,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Few prompts, seen again and again: GIFT, GRPO, DAPO and GSPO, with and without KL."""
    settings = _Settings(profile, seeds, tune, tuple(override or ()), runs, state_dir, s3_port, mlflow_port)
    _run(lambda base: overfitting(base, prompts), settings)


def _add_command(
    name: str, define: Callable[[RunConfig], Experiment], explanation: str, *, seeds: int = 3, tune: bool = False
) -> None:
    """`gift experiment <name>` for an experiment without options of its own; `seeds` and `tune` are its defaults."""

    @app.command(name, help=explanation)
    def command(
        profile: Profile,
        seeds: Seeds = seeds,
        tune: Tune = tune,
        override: Overrides = None,
        runs: Runs = Path("runs"),
        state_dir: StateDir = Path(".gift"),
        s3_port: S3Port = 8333,
        mlflow_port: MlflowPort = 5500,
    ) -> None:
        _run(define, _Settings(profile, seeds, tune, tuple(override or ()), runs, state_dir, s3_port, mlflow_port))


_add_command(
    "head-to-head",
    head_to_head,
    "GIFT, GRPO, GVPO, DPO and UNA from the same SFT models with the same number of responses.",
    seeds=5,
    tune=True,
)
_add_command(
    "baselines",
    baselines,
    "GIFT beside GRPO, DAPO, Dr. GRPO, GSPO, CISPO and OAPL, on policy.",
    tune=True,
)
_add_command(
    "staleness",
    staleness,
    "Responses of the policy of 0, 4, 16 and 64 steps ago, for seven objectives.",
    seeds=5,
)
_add_command(
    "long-training",
    long_training,
    "Four times as many steps, with and without an anchor to the SFT model.",
    tune=True,
)
_add_command(
    "wrong-rewards",
    wrong_rewards,
    "Random rewards, and 10 and 30 % of the verdicts turned.",
)
_add_command(
    "gift-options",
    gift_options,
    "GIFT's floor, reference, reduction, statistics and zero-variance groups, one choice at a time.",
)
_add_command(
    "length",
    length,
    "GIFT's sum and mean over tokens, GRPO and Dr. GRPO, on responses of widely varied length (profile varied-length).",
)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="A comparison.json.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the whole page as Markdown.")] = False,
) -> None:
    """Print the tables of a finished experiment."""
    from gift.report.comparison.schema import load_comparison
    from gift.report.comparison.table import comparison_table, markdown_page

    with one_line_errors():
        comparison = load_comparison(path)
        if markdown:
            echo_lines(markdown_page(comparison))
        else:
            console.print(comparison_table(comparison))


def _run(define: Callable[[RunConfig], Experiment], settings: _Settings) -> None:
    with one_line_errors():
        planned = _plan(define, settings)
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines.local import runner as local

        disks = local_disks(settings.state_dir, settings.runs)
        local.check_experiment(planned, (settings.runs, settings.state_dir), **disks)
        services = session_services(settings.state_dir, settings.s3_port, settings.mlflow_port)
        with local.stages_end_with_us(), services as mlflow_page:
            local.check_services(planned.base)
            _announce(planned)
            folder = local.run_experiment(planned, settings.runs)
        _print_result(folder, mlflow_page)


def _plan(define: Callable[[RunConfig], Experiment], settings: _Settings) -> PlannedExperiment:
    base = load_profile(settings.profile, settings.overrides)
    return plan_experiment(
        define(base),
        settings.profile,
        settings.overrides,
        seeds=tuple(range(base.seed, base.seed + settings.seeds)),
        tuning_seed=base.seed if settings.tune else None,
    )


def _announce(planned: PlannedExperiment) -> None:
    plan = planned.plan
    console.print(f"experiment [bold]{planned.run_id}[/bold]: {escape(plan.question)}", soft_wrap=True)
    console.print(
        f"{len(plan.variants)} variants × {len(plan.seeds)} seeds, {planned.trainings} trainings; "
        "started again, it goes on where it stopped",
        soft_wrap=True,
    )


def _print_result(folder: Path, mlflow_page: str) -> None:
    from gift.report.comparison.schema import load_comparison
    from gift.report.comparison.table import comparison_table
    from gift.report.comparison.wording import headline

    comparison = load_comparison(folder / "comparison.json")
    console.print()
    console.print(comparison_table(comparison))
    console.print(escape(headline(comparison)), soft_wrap=True)
    console.print(f"report      {folder / 'comparison.html'}", soft_wrap=True)
    console.print(f"MLflow UI   {escape(mlflow_page)}", soft_wrap=True)
