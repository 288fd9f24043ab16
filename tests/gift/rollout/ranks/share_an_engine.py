"""What a rank of test_vllm_ranks.py does: ZeRO-3 training, and one vLLM for both ranks or one for each."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from gift.config import OptimizerConfig
from gift.rollout.choose import open_engine
from gift.rollout.vllm_process import VllmProcess
from gift.rollout.weights import Weights
from gift.training.engine import build_engine, initialize_ranks
from gift.training.engine_check import check_engine, mean_difference
from gift.training.shards import sharded_weights
from tests.gift.rollout.tiny_models import ENDS, PAD, vllm_config

PROMPTS = [[5, 6, 7], [8, 9]]
held: list[int] = []
"""Elements of the policy that this rank held, each time that it was looked."""
asked: list[int] = []
"""Prompts of each call of this rank's vLLM."""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    config = vllm_config(*job["overrides"])
    device, rank = initialize_ranks(config.compute), dist.get_rank()
    count_calls()
    model = LlamaForCausalLM.from_pretrained(job["model"])
    trainer = build_engine(model, config.compute, OptimizerConfig(learning_rate=0.01), 1)
    policy, temperature = trainer.module, config.rollout.temperature
    with open_engine(config, Path(job["model"]), device, ends=ENDS, pad=PAD, weights_of=watched_weights) as engine:
        engine._portion_bytes = 1  # every layer by itself
        check_engine(engine, policy, PROMPTS, config.rollout)
        logits = trainer(input_ids=torch.tensor([[5, 6, 7, 8]])).logits
        trainer.backward(logits.square().mean())
        trainer.step()
        stale = mean_difference(policy, engine.sample(PROMPTS, 4, seed=1), temperature)
        engine.refresh(policy)
        asked.clear()
        rollouts = engine.sample(PROMPTS, 4, seed=1)
        held.append(elements(policy))
        fresh = mean_difference(policy, rollouts, temperature)
        # Each rank has prompts and a seed of its own, or nothing to sample, but all of them sample.
        own = engine.sample(PROMPTS[rank:], 4, seed=rank)
        one_sided = [engine.sample(PROMPTS if rank == sampler else [], 4, seed=1) for sampler in (0, 1)]
        nothing = engine.sample([], 4, seed=1)
        result = {
            "stale": stale,
            "fresh": fresh,
            "own": mean_difference(policy, own, temperature),
            "ids": rollouts.response_ids.tolist(),
            "own prompts": own.prompt_ids[own.prompt_mask].tolist(),
            "one-sided ids": one_sided[rank].response_ids.tolist(),
            "empty": [len(one_sided[1 - rank]), len(nothing)],
            "asked": asked,
            "held": max(held),
        }
        Path(sys.argv[1]).with_name(f"rank-{rank}.json").write_text(json.dumps(result))


def elements(policy: nn.Module) -> int:
    """Of the policy on this rank; DeepSpeed leaves nothing in a parameter that is not gathered."""
    return sum(parameter.numel() for parameter in policy.parameters())


def watched_weights(policy: nn.Module) -> Weights:
    weights = sharded_weights(policy)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, tensor in weights.tensors:
            held.append(elements(policy))
            yield name, tensor

    return Weights(weights.sizes, tensors())


def count_calls() -> None:
    complete = VllmProcess.complete

    def counted(process: VllmProcess, prompts: list[list[int]], *rest: object, **decoding: object) -> object:
        asked.append(len(prompts))
        return complete(process, prompts, *rest, **decoding)

    VllmProcess.complete = counted


if __name__ == "__main__":
    main()
