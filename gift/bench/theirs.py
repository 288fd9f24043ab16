"""TRL's side: its GRPOTrainer trains, with prompts, responses and rewards that are there already.

Nothing of TRL is called but its constructor and `train`: responses come through its `rollout_func`, and a callback
waits for the turn before each step. A step is scoring by the reference, loss, gradient and AdamW, as on our side; where
the case begins with sampling, `generate` is called as TRL calls it.

`completion_only` forces what TRL does on CUDA: only tokens of the responses go through the head. Elsewhere TRL 1.16
puts those of the prompts through it, too, and throws their log-probabilities away.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import GRPOConfig, GRPOTrainer

from gift.bench.cases import StepCase, read_step_case
from gift.bench.gradients import GradientSum
from gift.bench.inputs import POLICY, REFERENCE, read_step_batch
from gift.bench.objective import (
    ADAM_BETA1,
    ADAM_BETA2,
    CLIP_RATIO,
    CLIPPING,
    KL_COEFFICIENT,
    LEARNING_RATE,
    TEMPERATURE,
)
from gift.bench.turns import Turns
from gift.rollout.rollouts import Rollouts
from gift.training.groups import GroupBatch

FOREVER = 10**6
"""Steps; the callback ends the training."""
ROWS = 8
"""Responses of a micro-batch, TRL's default; the gradient is the same for any number that divides the batch."""


def take_their_turns(folder: Path, turns: Turns, *, completion_only: bool) -> None:
    """Steps of TRL's trainer on what `write_step_inputs` wrote, as long as somebody asks."""
    torch.set_num_threads(1)
    if completion_only and read_step_case(folder).device == "cpu":
        # There it asks only whether to leave the other tokens out.
        trl.trainer.utils._use_triton = lambda _device: True
    case, batch = read_step_case(folder), read_step_batch(folder, torch.device("cpu"))
    callback = _TakeTurns(turns)
    trainer = _trainer(folder, case, batch, callback)
    callback.gradient = GradientSum(trainer.model)
    trainer.train()


class _TakeTurns(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Starts and stops this side's clocks around each step."""

    gradient: GradientSum

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_train_begin(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_others: Any
    ) -> None:
        control.should_training_stop = not self._turns.begin()

    def on_step_end(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_others: Any
    ) -> None:
        self._turns.end(self.gradient.take)
        control.should_training_stop = not self._turns.begin()


def _trainer(folder: Path, case: StepCase, batch: GroupBatch, callback: TrainerCallback) -> GRPOTrainer:
    model = AutoModelForCausalLM.from_pretrained(folder / POLICY, dtype=torch.float32)
    # From here TRL loads the reference.
    model.config._name_or_path = str(folder / REFERENCE)
    rows = batch.rollouts
    prompt_ids = rows.prompt_ids.tolist()
    response_ids = [ids[mask].tolist() for ids, mask in zip(rows.response_ids, rows.response_mask, strict=True)]
    rewards = batch.rewards.flatten().tolist()

    def responses(prompts: Sequence[str], trainer: GRPOTrainer) -> dict[str, Any]:
        if list(prompts) != [str(row // case.group_size) for row in range(len(prompt_ids))]:
            raise RuntimeError(f"TRL asked for responses to other prompts, or in another order: {prompts}")
        if case.sampled:
            _sample(trainer, rows)
        return {"prompt_ids": prompt_ids, "completion_ids": response_ids, "logprobs": None}

    def reward(**_columns: Any) -> list[float]:
        return rewards

    return GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=_settings(folder, case),
        train_dataset=Dataset.from_dict({"prompt": [str(index) for index in range(case.prompts)]}),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder / POLICY),
        callbacks=[callback],
        rollout_func=responses,
    )


def _sample(trainer: GRPOTrainer, rows: Rollouts) -> None:
    """As TRL does where no `rollout_func` says what the responses are: with its settings, one row per response."""
    device = trainer.model.device
    trainer.model.generate(
        input_ids=rows.prompt_ids.to(device),
        attention_mask=rows.prompt_mask.long().to(device),
        generation_config=trainer.generation_config,
        disable_compile=True,
    )


def _settings(folder: Path, case: StepCase) -> GRPOConfig:
    rows = min(ROWS, case.group_size)
    return GRPOConfig(
        output_dir=str(folder / "trl"),
        loss_type="grpo",
        scale_rewards="none",
        beta=KL_COEFFICIENT,
        use_bias_correction_kl=False,
        epsilon=CLIP_RATIO,
        temperature=TEMPERATURE,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta1=ADAM_BETA1,
        adam_beta2=ADAM_BETA2,
        weight_decay=0.0,
        max_grad_norm=CLIPPING,
        num_generations=case.group_size,
        max_completion_length=case.response_tokens,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=case.prompts * case.group_size // rows,
        gradient_checkpointing=False,
        shuffle_dataset=False,
        max_steps=FOREVER,
        bf16=case.precision == "bf16",
        use_cpu=case.device == "cpu",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
