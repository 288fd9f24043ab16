"""Which rollout engine is faster: transformers and vLLM sample the same prompts with the same weights, by turns.

    python benchmarks/rollout_engines.py --profile smollm2-gsm8k [--rounds 3]

Prints the median of tokens per second for each engine, their ratio, and what a refresh of the weights costs. One
process, `rl.prompts_per_step / compute.ranks` prompts of the training data, the profile's group size and lengths.
Responses differ from engine to engine, so tokens per second are compared, not seconds.

Left out: the trainer (its share of a step does not depend on the engine), and starting the engines.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from transformers import PreTrainedModel

from gift.config import RunConfig, load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.data.tokens import tokenize_prompts
from gift.models.base_model import write_base_model
from gift.models.loading import load_model, load_tokenizer, torch_dtype
from gift.rollout.choose import open_engine
from gift.rollout.engine import RolloutEngine

ENGINES = ("transformers", "vllm")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    configs = {name: load_profile(arguments.profile, (f"rollout.engine={name}",)) for name in ENGINES}
    config = configs["transformers"]
    torch.set_num_threads(config.compute.threads_per_rank)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as resources:
        data, folder = Path(scratch, "data"), Path(scratch, "model")
        folder.mkdir()
        write_data(config, data)
        write_base_model(config, read_problems(data / "sft.jsonl"), folder)
        tokenizer = load_tokenizer(folder)
        problems = read_problems(data / "train.jsonl", config.rl.prompts_per_step // config.compute.ranks)
        prompts = tokenize_prompts(tokenizer, problems, config.prompt_format, config.rollout.max_prompt_tokens)
        policy, device = _policy(config, folder), torch.device("cpu")
        ends = {"ends": [tokenizer.eos_token_id], "pad": tokenizer.pad_token_id}
        engines = {
            name: resources.enter_context(open_engine(configs[name], folder, device, **ends)) for name in ENGINES
        }
        rates: dict[str, list[float]] = {name: [] for name in ENGINES}
        refreshes: dict[str, list[float]] = {name: [] for name in ENGINES}
        for round_ in range(arguments.rounds):
            for name in ENGINES if round_ % 2 == 0 else reversed(ENGINES):
                seconds, rate = _measure(engines[name], policy, prompts, config.rollout.group_size, round_)
                refreshes[name].append(seconds)
                rates[name].append(rate)
    print(f"{arguments.profile}: {len(prompts)} prompts x {config.rollout.group_size} responses of at most")
    print(f"{config.rollout.max_new_tokens} tokens, {config.compute.precision}, medians of {arguments.rounds} rounds")
    for name in ENGINES:
        print(f"{name:13} {median(rates[name]):8,.0f} tokens/s   refresh {median(refreshes[name]):.2f} s")
    ratios = [fast / slow for fast, slow in zip(rates["vllm"], rates["transformers"], strict=True)]
    print(
        f"vllm / transformers, by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {median(ratios):.2f}"
    )


def _policy(config: RunConfig, folder: Path) -> PreTrainedModel:
    precision = torch_dtype(config.compute.precision)
    return load_model(folder, precision, precision, torch.device("cpu")).eval()


def _measure(
    engine: RolloutEngine, policy: PreTrainedModel, prompts: list[list[int]], responses: int, seed: int
) -> tuple[float, float]:
    """Seconds of a refresh, and tokens per second of sampling after it."""
    started = time.monotonic()
    engine.refresh(policy)
    refreshed = time.monotonic()
    rollouts = engine.sample(prompts, responses, seed)
    tokens = float(rollouts.response_mask.sum())
    return refreshed - started, tokens / (time.monotonic() - refreshed)


if __name__ == "__main__":
    main()
