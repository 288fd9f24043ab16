"""A whole experiment with a tiny budget against the real S3 and MLflow servers; then the same with one seed more."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from forked_stages import forked_stages
from tiny_settings import TINY_MODEL

from gift.report.comparison.schema import Comparison, load_comparison
from gift.tracking import StageRecord, stage_records, start_parent_run
from pipelines.experiments.experiment import Experiment, Variant, plan_experiment
from pipelines.local import runner as local
from pipelines.local.services import Services

TINY = (
    "registered_model=gift-e2e-experiment",
    "experiment=gift-e2e-experiment",
    *TINY_MODEL,
    "data.sft=400",
    "data.train=100",
    "data.heldout=8",
    "compute.ranks=1",
    "sft.steps=2",
    "sft.optimizer.warmup_steps=1",
    "rl.steps=2",
    "rl.prompts_per_step=2",
    "rl.heldout_problems=4",
    "rollout.group_size=2",
    "rollout.max_new_tokens=4",
    "evaluation.benchmarks=[{task: heldout_sampled, max_new_tokens: 4}]",
    "gate.benchmarks=[{benchmark: heldout_sampled, at_least: 0.0}]",
)
EXPERIMENT = Experiment(
    name="two",
    title="Two objectives",
    question="Does the machinery work?",
    variants=(Variant("gift", "GIFT"), Variant("grpo", "GRPO", ("algorithm=grpo",))),
    baseline="gift",
    settings=("rl.heldout_every=1",),
    multipliers=(1.0, 2.0),
)
GRID = [f"train-policy-{name}-lr{rate}-seed0" for name in ("gift", "grpo") for rate in ("0.0006", "0.0012")]


@dataclass(frozen=True)
class Outcome:
    """What one start of the experiment left behind."""

    folder: Path
    comparison: Comparison
    records: dict[str, StageRecord]
    screen: str


def _start(runs: Path, seeds: tuple[int, ...], capfd: pytest.CaptureFixture[str]) -> Outcome:
    planned = plan_experiment(EXPERIMENT, "local", TINY, seeds=seeds, tuning_seed=0)
    with forked_stages():
        folder = local.run_experiment(planned, runs)
    records = stage_records(start_parent_run(planned.base, planned.run_id))
    output = capfd.readouterr()
    assert "display_name" not in output.err
    return Outcome(folder, load_comparison(folder / "comparison.json"), records, output.out)


def _trained(outcome: Outcome) -> set[str]:
    """Stages that trained a policy, and did not take it from the store, in this start or before."""
    return {name for name, record in outcome.records.items() if name.startswith("train-policy") and record.curves}


@pytest.mark.timeout(1800)  # 75 stages
def test_an_experiment_tunes_trains_compares_and_goes_on(
    services: Services, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = _start(tmp_path, (0,), capfd)
    assert {"comparison.json", "comparison.html", "comparison.md"} <= {path.name for path in first.folder.iterdir()}
    # The training that is compared is the one of the grid at the chosen rate.
    assert _trained(first) == set(GRID)
    for name, result in first.comparison.variants.items():
        assert result.learning_rate in (0.0006, 0.0012)
        assert [point.learning_rate for point in result.grid] == [0.0006, 0.0012]
        own = first.records[f"train-policy-{name}-seed0"]
        assert own.reused
        assert own.output == first.records[f"train-policy-{name}-lr{result.learning_rate:g}-seed0"].output
        best = max(point.scores["heldout_sampled"] for point in result.grid)
        assert result.scores["heldout_sampled"].values == (best,)
        assert {"reward", "heldout_accuracy", "overfitting_gap", "kl"} <= set(result.curves)
        assert all(seconds is not None and seconds > 0 for seconds in result.seconds)
        assert first.comparison.lengths is not None
        by_length = first.comparison.lengths.variants[name]
        parts = zip(by_length.shares, by_length.accuracies, strict=True)
        assert sum(share.mean * (accuracy.mean or 0) for share, accuracy in parts) == pytest.approx(best)

    second = _start(tmp_path, (0, 1), capfd)
    assert second.folder == first.folder
    assert _trained(second) == {*GRID, "train-policy-gift-seed1", "train-policy-grpo-seed1"}
    assert second.screen.count("unchanged, reused") >= len(GRID) * 3
    for name, result in second.comparison.variants.items():
        before = first.comparison.variants[name]
        assert result.learning_rate == before.learning_rate
        assert result.scores["heldout_sampled"].values[0] == before.scores["heldout_sampled"].values[0]
        assert result.scores["heldout_sampled"].low is not None
        assert result.seconds[0] == before.seconds[0]
    assert {record.status for record in second.records.values()} == {"FINISHED"}
