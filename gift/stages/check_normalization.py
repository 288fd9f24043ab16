"""Stage: policy + reference → proof, on sampled responses, that log Z(x) drops out of the normalised implicit rewards.

    prompts → N responses of the policy each → rewards, log π_θ and log π_ref → gift/algorithms/normalization.py

Sampling, scoring and log-probabilities are those of training, and Z(x) is estimated for the prompt that a response was
really given. So the check fails when a group comes to hold responses to different prompts.

Left out: DeepSpeed and several processes (each model must fit one device in fp32, one after the other), and rollout
engines other than transformers.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from gift.algorithms.normalization import Normalization, measure_normalization, metrics, refuse, summary
from gift.algorithms.objective import ScoredGroups
from gift.config import RunConfig
from gift.data.problems import read_problems
from gift.data.tokens import tokenize_prompts
from gift.execution.output import Output
from gift.execution.reward_facts import reward_facts, unused_judges
from gift.execution.stage import Stage, scratch_folder
from gift.hub.mirror import with_reward_models
from gift.models.device import choose_device
from gift.models.ends import load_tokenizer_and_ends
from gift.models.loading import load_model
from gift.policy.log_probabilities import read_packed, response_log_probabilities
from gift.report.files import load_document
from gift.rewards import open_scorer
from gift.rollout.transformers import TransformersEngine
from gift.training.groups import GroupBatch, score
from gift.training.order import derived_seed

PROMPTS = 32
"""The first problems of the training split."""
NORMALIZATION_FILE = "normalization.json"


def check_normalization(stage: Stage, data: str, policy: str, reference: str) -> str:
    """Returns: URI of a folder with normalization.json.

    Raises:
        GiftError: what should be equal differs by more than 1e-4, or policy and reference are the same.
    """
    config = stage.config

    def make(folder: Path) -> dict[str, str]:
        with stage.fetched(data, policy, reference) as folders, scratch_folder() as scratch:
            groups, prompts = _sample_groups(with_reward_models(config, scratch), *folders)
        result = measure_normalization(groups, prompts)
        (folder / NORMALIZATION_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
        return {}

    settings = {
        "rollout": config.rollout,
        "rewards": [reward.model_dump(mode="json") for reward in config.rewards],
        "prompt": config.prompt_format,
        "compute.tokens_per_micro_batch": config.compute.tokens_per_micro_batch,
        "seed": config.seed,
        "compute.device": config.compute.device,
    }
    inputs = {"data": data, "policy": policy, "reference": reference}
    output = Output(
        "normalization", __name__, settings, inputs, facts=reward_facts(config), unused=unused_judges(config)
    )
    uri = stage.make_once(output, make)
    with stage.fetched(uri) as (folder,):
        result = load_document(Normalization, folder / NORMALIZATION_FILE)
    stage.log_files(uri)
    stage.tracking.log_metrics(metrics(result))
    refuse(result)
    print(f"  {summary(result)}", flush=True)
    return uri


@torch.no_grad()
def _sample_groups(config: RunConfig, data: Path, policy: Path, reference: Path) -> tuple[list[ScoredGroups], Tensor]:
    """`PROMPTS` groups, in parts as large as one forward pass of the training, and their `_prompts_of`."""
    device = choose_device(config.compute.device)
    model = _load(policy, device)
    tokenizer, ends = load_tokenizer_and_ends(policy, config.prompt_format)
    batches = _sample_batches(config, data, model, tokenizer, ends, device)
    of_policy = _log_probabilities(model, batches, config)
    del model  # room for the reference
    of_reference = _log_probabilities(_load(reference, device), batches, config)
    groups = [
        ScoredGroups(
            policy=_by_group(policy_part, batch),
            reference=_by_group(reference_part, batch),
            rollout=_by_group(policy_part, batch),
            mask=_by_group(batch.rollouts.response_mask, batch),
            rewards=batch.rewards,
            names=batch.names,
        )
        for batch, policy_part, reference_part in zip(batches, of_policy, of_reference, strict=True)
    ]
    return groups, _prompts_of(batches)


def _sample_batches(
    config: RunConfig,
    data: Path,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    device: torch.device,
) -> list[GroupBatch]:
    problems = read_problems(data / "train.jsonl", PROMPTS)
    prompts = tokenize_prompts(tokenizer, problems, config.prompt_format, config.rollout.max_prompt_tokens)
    engine = TransformersEngine(config.rollout, ends=ends, pad=tokenizer.pad_token_id)
    engine.refresh(model)
    batches = []
    with open_scorer(config.rewards, prompt=config.prompt_format, device=device) as scorer:
        groups = _groups_at_a_time(config)
        for start in range(0, len(problems), groups):
            part = slice(start, start + groups)
            seed = derived_seed(config.seed, "check-normalization", start)
            rollouts = engine.sample(prompts[part], config.rollout.group_size, seed)
            batches.append(score(scorer, tokenizer, rollouts, problems[part], ends))
    engine.close()
    return batches


def _groups_at_a_time(config: RunConfig) -> int:
    """As many as the micro-batches of the training hold at full length, or one."""
    longest = config.rollout.max_prompt_tokens + config.rollout.group_size * config.rollout.max_new_tokens
    return max(1, config.compute.tokens_per_micro_batch // longest)


def _load(folder: Path, device: torch.device) -> nn.Module:
    model: nn.Module = read_packed(load_model(folder, torch.float32, torch.float32, device).to(device).eval())
    return model


def _log_probabilities(model: nn.Module, batches: Sequence[GroupBatch], config: RunConfig) -> list[Tensor]:
    """(B, R) float32 of each batch, at the temperature of the sampling."""
    temperature = config.rollout.temperature
    return [response_log_probabilities(model, batch.rollouts, temperature, batch.group_size) for batch in batches]


def _by_group(values: Tensor, batch: GroupBatch) -> Tensor:
    """(B, R) → (G, N, R)."""
    return values.view(-1, batch.group_size, values.shape[1])


def _prompts_of(batches: Sequence[GroupBatch]) -> Tensor:
    """(G, N) int64: equal where two responses were sampled from the same prompt tokens."""
    seen: dict[tuple[int, ...], int] = {}
    numbers = [
        seen.setdefault(tuple(ids[mask].tolist()), len(seen))
        for batch in batches
        for ids, mask in zip(batch.rollouts.prompt_ids, batch.rollouts.prompt_mask, strict=True)
    ]
    return torch.tensor(numbers, device=batches[0].rewards.device).view(-1, batches[0].group_size)
