"""What each stage cost, in hours of the CPU cores and GPUs that the profile gives it, used or not.

    train-policy   1,800 s on 2 nodes of 16 cores and 8 GPUs   16 CPU-hours, 8 GPU-hours

The seconds are those of the stage itself, over all attempts; of a stage that reused an output, nearly none. Left out:
prices, and pods that wait or start up, whose time the critical path has.
"""

from collections.abc import Mapping

from gift.config import RunConfig
from gift.config.surroundings import TRAINING_STAGES
from gift.report.schema import StageCost

WITH_A_MODEL = ("prepare-model", "convert-", "evaluate-")
"""How the names of stages begin that get `cluster.model`."""


def stage_costs(config: RunConfig, seconds: Mapping[str, float]) -> dict[str, StageCost]:
    """Stage → its cost, from its seconds."""
    return {
        stage: StageCost(cpu_hours=_cpus(config, stage) * spent / 3600, gpu_hours=_gpus(config, stage) * spent / 3600)
        for stage, spent in seconds.items()
    }


def _cpus(config: RunConfig, stage: str) -> float:
    cluster, nodes = config.cluster, config.compute.nodes
    if stage in TRAINING_STAGES:
        return nodes * cluster.training.cpu + (cluster.light.cpu if nodes > 1 else 0)  # a pod submits, and waits
    return cluster.model.cpu if stage.startswith(WITH_A_MODEL) else cluster.light.cpu


def _gpus(config: RunConfig, stage: str) -> int:
    if config.compute.gpu is None:
        return 0
    if stage in TRAINING_STAGES:
        return config.compute.ranks
    return config.evaluation.gpus if stage.startswith("evaluate-") else 0
