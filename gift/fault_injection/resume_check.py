"""One training that is killed again and again, one that is not, and whether they end with the same weights.

    inputs ──> attempt, killed ──> attempt, killed ──> … ──> attempt ──> weights ──┐
       └─────> attempt ──> weights ────────────────────────────────────────────────┴─> equal, bit for bit?

Every attempt starts with an empty disk, so that it has what the store has. The training is a tiny one with real ranks,
ZeRO and rollouts; on a processor in fp32 it comes out the same each time, which is why equality can be asked for.

Left out: another number of ranks after a kill. Sums over them are rounded otherwise, so that only what they begin with
is equal to the last bit (`tests/gift/training/test_checkpoint.py`).
"""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gift.config import RunConfig, load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.errors import GiftError
from gift.fault_injection.kill import MOST_STEPS, Attempt, Kill
from gift.host.end_with_parent import end_with_parent
from gift.launch.rank_job import ResumeSettings, TrainingJob
from gift.models.base_model import write_base_model
from gift.storage import delete_directory
from gift.tracking import finish_parent_run, start_parent_run
from gift.weights.stored_weights import StoredTensor, same_values, stored_tensors

TINY = (
    *("model.hidden_size=32", "model.intermediate_size=64", "model.layers=1", "model.attention_heads=2"),
    *("data.sft=64", "data.train=32", "data.heldout=8", "sft.steps=0", "rollout.group_size=4"),
    *("rollout.max_new_tokens=12", "rl.prompts_per_step=4", "rl.checkpoint_every=1"),
    *("rl.optimizer={learning_rate: 1.0e-2, warmup_steps: 2, schedule: linear}", "compute.device=cpu"),
    "rewards=[{kind: function, function: 'gift.fault_injection.resume_check:even_share'}]",
)
"""Settings of the profile `local`: as small as every part takes, with a reward that an untrained model gets."""


def even_share(completion: str, _problem: object) -> float:
    """The share of characters with an even number in Unicode, in which any two texts of a random model differ."""
    return sum(ord(character) % 2 == 0 for character in completion) / max(1, len(completion))


def tiny_training(kills: int, overrides: tuple[str, ...]) -> RunConfig:
    """The configuration of a training that is long enough for so many kills.

    Raises:
        GiftError: an override is not allowed.
    """
    return load_profile("local", (*TINY, f"rl.steps={MOST_STEPS * kills + 2}", *overrides))


def check_resume(config: RunConfig, kills: Sequence[Kill], tell: Callable[[str], None]) -> None:
    """Train with kills, each in an attempt of its own, and without; `tell` is called with a line for each.

    Raises:
        GiftError: the weights differ, or an attempt failed of itself.
    """
    parent = start_parent_run(config, f"check-resume-{uuid.uuid4().hex[:12]}")
    status: Literal["FINISHED", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory(prefix="gift-check-", ignore_cleanup_errors=True) as name:
            training = _prepare(config, Path(name), parent)
            killed = _train_with_kills(training, kills, tell)
            tell("no more kills: trained to the end; now once more, without any")
            whole = _train_to_the_end(_without_checkpoints(training), "whole")
            _compare(training.base, killed, whole, len(kills))
        status = "FINISHED"
    finally:
        finish_parent_run(parent, status, None)


@dataclass(frozen=True)
class _Training:
    """What all attempts share."""

    config: RunConfig
    folder: Path
    mlflow_run_id: str
    resume: str
    """URI of the checkpoints."""

    @property
    def base(self) -> Path:
        """The model that is trained."""
        return self.folder / "base"


def _prepare(config: RunConfig, folder: Path, mlflow_run_id: str) -> _Training:
    # DeepSpeed, which transformers imports to save a model, would look for GPUs and say that it found none.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    (folder / "base").mkdir()
    write_data(config, folder / "data")
    write_base_model(config, read_problems(folder / "data" / "sft.jsonl"), folder / "base")
    resume = f"{config.storage.uri}/check-resume/{uuid.uuid4().hex}"
    return _Training(config, folder, mlflow_run_id, resume)


def _without_checkpoints(training: _Training) -> _Training:
    """It has nothing to go on from, and leaves nothing in the store."""
    rl = training.config.rl.model_copy(update={"checkpoint_every": 0})
    return replace(training, config=training.config.model_copy(update={"rl": rl}))


def _train_with_kills(
    training: _Training, kills: Sequence[Kill], tell: Callable[[str], None]
) -> dict[str, StoredTensor]:
    try:
        for number, kill in enumerate(kills, start=1):
            where = _attempt_killed(training, f"kill-{number}", kill)
            tell(f"kill {number} of {len(kills)}: {_words(kill)}, {where}")
        return _train_to_the_end(training, "killed")
    finally:
        delete_directory(training.resume)


def _attempt_killed(training: _Training, name: str, kill: Kill) -> str:
    """Where in the training the kill came."""
    exit_code, attempt, log = _run(training, name, kill)
    if exit_code == 0 or not attempt.note.exists():
        _refuse(f"the training ended before it was killed ({_words(kill)})", log)
    return attempt.note.read_text(encoding="utf-8")


def _train_to_the_end(training: _Training, name: str) -> dict[str, StoredTensor]:
    from gift.conversion.hugging_face import convert_checkpoint  # torch takes seconds to load

    exit_code, _, log = _run(training, name, None)
    if exit_code != 0:
        _refuse("the training failed, though nobody killed it", log)
    folder = training.folder / name
    convert_checkpoint(
        folder / "checkpoint",
        training.base,
        folder / "model",
        precision="fp32",
        max_shard_bytes=2**30,
        lora=training.config.lora,
    )
    return stored_tensors(folder / "model")


def _run(training: _Training, name: str, kill: Kill | None) -> tuple[int, Attempt, Path]:
    """(exit code, what was attempted, its log)."""
    folder = training.folder / name
    (folder / "scratch").mkdir(parents=True)
    job = TrainingJob(
        config=training.config,
        model=training.base,
        data=training.folder / "data",
        checkpoint=folder / "checkpoint",
        mlflow_run_id=training.mlflow_run_id,
        metric_spool=folder / "metrics.jsonl",
        resume=ResumeSettings(uri=training.resume, folder=folder / "resume"),
    )
    attempt = Attempt(job=folder / "job.json", kill=kill, note=folder / "note.txt")
    attempt.job.write_text(job.model_dump_json(), encoding="utf-8")
    (folder / "attempt.json").write_text(attempt.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "gift.fault_injection.attempt", str(folder / "attempt.json")]
    with (folder / "log").open("wb") as log:
        finished = subprocess.run(  # noqa: S603 (no shell, and our own arguments)
            command,
            stdout=log,
            stderr=log,
            check=False,
            env=os.environ | {"TMPDIR": str(folder / "scratch")},
            preexec_fn=end_with_parent(os.getpid()),
        )
    return finished.returncode, attempt, folder / "log"


def _words(kill: Kill) -> str:
    victim = f"rank {kill.rank}" if kill.victim == "rank" else f"the {kill.victim}"
    return f"SIGKILL to {victim}, {1000 * kill.delay_seconds:.0f} ms into {kill.moment} {kill.occurrence}"


def _refuse(what: str, log: Path) -> None:
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["(nothing)"]
    raise GiftError(f"{what}; its last line is: {last[0]}")


def _compare(base: Path, killed: dict[str, StoredTensor], whole: dict[str, StoredTensor], kills: int) -> None:
    wrong = [name for name in whole if name not in killed or not same_values(killed[name], whole[name])]
    if wrong:
        raise GiftError(f"{len(wrong)} of {len(whole)} tensors differ after {kills} kills, the first is {wrong[0]}")
    before = stored_tensors(base)
    if all(same_values(before[name], whole[name]) for name in before.keys() & whole.keys()):
        raise GiftError("the training changed no weight, so that equal ones prove nothing")
