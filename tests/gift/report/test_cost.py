"""A stage costs its time on what the profile gives it, which is what the compiled pipeline asks of the cluster."""

import pytest

from gift.config import RunConfig, load_profile
from gift.preflight.disk import LARGE_STAGES
from gift.report.cost import stage_costs
from gift.report.wording import hours
from pipelines.kubeflow.cluster_settings import EVALUATION, MODEL

HOUR = 3600.0


def _costs(config: RunConfig) -> dict[str, tuple[float, float]]:
    stages = dict.fromkeys((*LARGE_STAGES, "gate", "report"), HOUR)
    return {stage: (cost.cpu_hours, cost.gpu_hours) for stage, cost in stage_costs(config, stages).items()}


def test_without_gpus_every_kind_of_stage_has_its_cores() -> None:
    config = load_profile("local", ("cluster.light.cpu=1", "cluster.model.cpu=3", "cluster.training.cpu=5"))
    costs = _costs(config)
    assert {costs[stage] for stage in MODEL} == {(3.0, 0.0)}
    assert costs["train-sft"] == costs["train-policy"] == (5.0, 0.0)
    assert costs["gate"] == costs["report"] == (1.0, 0.0)


def test_several_nodes_and_their_gpus_count_and_so_does_the_pod_that_submits() -> None:
    config = load_profile("qwen2.5-7b-math", ("compute.nodes=2", "compute.ranks=8"))
    costs, cluster = _costs(config), config.cluster
    assert costs["train-policy"] == (2 * cluster.training.cpu + cluster.light.cpu, 8.0)
    assert {costs[stage] for stage in EVALUATION} == {(cluster.model.cpu, float(config.evaluation.gpus))}
    assert costs["convert-candidate"] == (cluster.model.cpu, 0.0)


def test_half_the_time_costs_half() -> None:
    (cost,) = stage_costs(load_profile("local"), {"train-policy": HOUR / 2}).values()
    assert cost.cpu_hours == load_profile("local").cluster.training.cpu / 2


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "–"), (0.00417, "0.0042"), (0.98, "0.98"), (1.24, "1.2"), (3401, "3,401")]
)
def test_hours_have_two_digits_that_count(amount: float, text: str) -> None:
    assert hours(amount) == text
