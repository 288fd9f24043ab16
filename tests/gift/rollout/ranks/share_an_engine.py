"""What a rank of test_vllm_ranks.py does: ZeRO-3 training, and one vLLM for both ranks or one for each."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import LlamaForCausalLM

from gift.config import OptimizerConfig
from gift.rollout.choose import open_engine
from gift.training.engine import build_engine, gathered_parameters, initialize_ranks
from gift.training.engine_check import check_engine, mean_difference
from tests.gift.rollout.tiny_models import EOS, PAD, vllm_config

PROMPTS = [[5, 6, 7], [8, 9]]


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    config = vllm_config(*job["overrides"])
    device = initialize_ranks(config.compute)
    model = LlamaForCausalLM.from_pretrained(job["model"])
    trainer = build_engine(model, config.compute, OptimizerConfig(learning_rate=0.01), 1, 1, 1)
    with open_engine(config, Path(job["model"]), device, eos=EOS, pad=PAD) as engine:
        with gathered_parameters(trainer):
            check_engine(engine, trainer.module, PROMPTS, config.rollout)
        logits = trainer(input_ids=torch.tensor([[5, 6, 7, 8]])).logits
        trainer.backward(logits.square().mean())
        trainer.step()
        with gathered_parameters(trainer):
            stale = mean_difference(trainer.module, engine.sample(PROMPTS, 4, seed=1), config.rollout.temperature)
            engine.refresh(trainer.module)
            # A rank may sample as often as it likes, whatever the others do.
            rollouts = [engine.sample(PROMPTS, 4, seed=1) for _ in range(1 + dist.get_rank())]
            fresh = mean_difference(trainer.module, rollouts[-1], config.rollout.temperature)
        result = {"stale": stale, "fresh": fresh, "ids": rollouts[0].response_ids.tolist()}
        Path(sys.argv[1]).with_name(f"rank-{dist.get_rank()}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
