"""Tiny inputs and jobs for the tests of both training loops."""

import json
import shutil
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from tiny_settings import TINY_MODEL

from gift.config import RunConfig, load_profile
from gift.conversion.hugging_face import convert_checkpoint
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.data.scored import ScoredProblem, write_scored
from gift.launch.one_node import NodePlace, launch_ranks
from gift.launch.rank_job import ResumeSettings, TrainingJob
from gift.models.base_model import write_base_model
from pipelines.machine.processes import free_ports

RANKS = Path(__file__).parent / "ranks"
TINY = (
    *TINY_MODEL,
    "data.sft=64",
    "data.train=32",
    "data.heldout=8",
    "sft.steps=3",
    "sft.batch_size=8",
    "sft.optimizer.warmup_steps=0",
    "rollout.group_size=8",
    "rollout.max_new_tokens=12",
    "rl.prompts_per_step=4",
    "rl.optimizer={learning_rate: 1.0e-2}",
)
OWN_REWARD = """
def digits(completion, problem):
    return sum(character.isdigit() for character in completion) / 12

def some_digit(completion, problem):
    return float(any(character.isdigit() for character in completion))

def rare(completion, problem):
    return float("7" in completion)

def constant(completion, problem):
    return 0.5

def broken(completion, problem):
    return float("nan")
"""


def write_inputs(folder: Path, *overrides: str) -> Path:
    """Fill a folder with data/, base/ and own_reward.py."""
    config = load_profile("local", (*TINY, *overrides))
    (folder / "base").mkdir()
    write_data(config, folder / "data")
    demonstrations = read_problems(folder / "data" / "sft.jsonl")
    write_base_model(config, demonstrations, folder / "base")
    (folder / "own_reward.py").write_text(OWN_REWARD)
    problems = read_problems(folder / "data" / "train.jsonl", 8)
    write_scored(
        folder / "data" / "scored.jsonl",
        [
            ScoredProblem(f"scored-{index}", problem.question, "", "", ("1", "1 2", "#### 3"), (0.0, 0.5, float(index)))
            for index, problem in enumerate(problems)
        ],
    )
    return folder


def scored_dataset(inputs: Path) -> tuple[str, str]:
    """The settings that train on the scored responses of `write_inputs`."""
    names = {"train_file": "train", "heldout_file": "heldout", "scored_file": "scored"}
    files = ", ".join(f"{key}: {inputs}/data/{name}.jsonl" for key, name in names.items())
    return f"data={{source: jsonl, {files}}}", "rl.groups=dataset"


def own_reward(name: str) -> str:
    """The setting that makes a function of own_reward.py the only reward."""
    return f"rewards=[{{kind: function, function: 'own_reward:{name}'}}]"


class Job:
    """A training job and its MLflow run; it may be attempted several times, each attempt in a folder of its own."""

    def __init__(self, inputs: Path, *overrides: str) -> None:
        self.config: RunConfig = load_profile("local", (*TINY, *overrides))
        self.resume_uri = f"s3://gift/test-{uuid.uuid4().hex}"
        self._client = MlflowClient()
        experiment = self._client.create_experiment(f"test-{uuid.uuid4().hex}")
        self.mlflow_run_id = self._client.create_run(experiment).info.run_id
        self._inputs = inputs

    def attempt(self, module: str, folder: Path) -> None:
        """Run the ranks of `module`, and leave checkpoint/ in `folder`, which must not be there yet.

        Several nodes are several launchers with a folder each; what they leave is put together.
        """
        compute = self.config.compute
        if compute.nodes == 1:
            launch_ranks(module, self.write(folder), compute)
            return
        (port,) = free_ports("127.0.0.1", 1)
        with ThreadPoolExecutor(compute.nodes) as nodes:
            launched = [
                nodes.submit(
                    launch_ranks,
                    module,
                    self.write(folder / f"node-{node}"),
                    compute,
                    NodePlace(node, "127.0.0.1", port, "lo"),
                )
                for node in range(compute.nodes)
            ]
        for training in reversed(launched):  # the last rank is the one that tests kill
            training.result()
        for node in range(compute.nodes):
            shutil.copytree(folder / f"node-{node}" / "checkpoint", folder / "checkpoint", dirs_exist_ok=True)

    def write(self, folder: Path) -> Path:
        """The file that the ranks read."""
        folder.mkdir(parents=True)
        job = TrainingJob(
            config=self.config,
            model=self._inputs / "base",
            data=self._inputs / "data",
            checkpoint=folder / "checkpoint",
            mlflow_run_id=self.mlflow_run_id,
            metric_spool=folder / "metrics.jsonl",
            resume=ResumeSettings(uri=self.resume_uri, folder=folder / "resume"),
        )
        (folder / "job.json").write_text(job.model_dump_json())
        return folder / "job.json"

    def weights(self, folder: Path) -> dict[str, torch.Tensor]:
        """What an attempt that came to its end has learned."""
        output = folder / "model"
        convert_checkpoint(
            folder / "checkpoint",
            self._inputs / "base",
            output,
            precision="fp32",
            max_shard_bytes=2**30,
            lora=self.config.lora,
        )
        return load_file(output / "model.safetensors")

    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Metric → (step, value) as they were logged."""
        names = self._client.get_run(self.mlflow_run_id).data.metrics
        histories = {name: self._client.get_metric_history(self.mlflow_run_id, name) for name in names}
        return {name: [(entry.step, entry.value) for entry in history] for name, history in histories.items()}


class Training:
    """One finished training job."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.metrics = {name: [value for _, value in history] for name, history in job.history().items()}

    def weights(self) -> dict[str, torch.Tensor]:
        return self.job.weights(self.folder)


def train(module: str, inputs: Path, folder: Path, *overrides: str) -> Training:
    job = Job(inputs, *overrides)
    job.attempt(module, folder / "attempt")
    return Training(job, folder / "attempt")


def train_together(inputs: Path, folder: Path, cases: Mapping[str, tuple[str, ...]]) -> dict[str, Training]:
    """Train each case (a module and its settings) in the same ranks, which must be as many for all."""
    jobs = {name: Job(inputs, *overrides) for name, (_, *overrides) in cases.items()}
    files = [(cases[name][0], str(job.write(folder / name))) for name, job in jobs.items()]
    (folder / "jobs.json").write_text(json.dumps(files))
    (compute, *others) = (job.config.compute for job in jobs.values())
    assert {other.ranks for other in others} <= {compute.ranks}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
        launch_ranks("one_after_the_other", folder / "jobs.json", compute)
    return {name: Training(job, folder / name) for name, job in jobs.items()}
