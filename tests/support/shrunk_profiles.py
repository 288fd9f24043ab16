"""A shipped profile as small as every stage takes: `shrunk` changes sizes and places, and nothing else of it.

The models and data that a profile names are made up by `made_up_sources`, in the shape of the real ones. Left out, as
two processor cores don't have them: nodes, GPUs, and vLLM, which takes half a minute to start (tests/gift/rollout).
"""

from typing import Any

from gift.config import ModelShape, RunConfig, parse_config

RANKS = 2
LARGEST = {
    **{"data.sft": 16, "data.train": 16, "data.heldout": 2},
    **{"sft.steps": 2, "sft.checkpoint_every": 1, "sft.optimizer.warmup_steps": 1},
    **{"rollout.group_size": 4, "rollout.max_new_tokens": 8},
    **{"rl.steps": 2, "rl.checkpoint_every": 1, "rl.optimizer.warmup_steps": 1},
    **{"rl.heldout_every": 1, "rl.heldout_problems": 2},
    **{"evaluation.batch_size": 4, "evaluation.threads": 1},
}
"""A value that is larger becomes this; one that is smaller, as no steps at all, stays."""
SCRATCH = {"hidden_size": 64, "intermediate_size": 96, "layers": 1, "attention_heads": 2}
EARNS_NOTHING = ("gsm8k", "math")
"""Rewards that an untrained model never gets."""
EVEN_SHARE = {"kind": "function", "name": "even", "function": "gift.fault_injection.resume_check:even_share"}


def shrunk(config: RunConfig, storage: str) -> RunConfig:
    """The run with a tiny model and budget on two ranks of this machine's processor; `storage` is an `s3://` prefix."""
    values = config.model_dump(mode="json")
    for path, largest in LARGEST.items():
        section, key = _section_of(values, path)
        section[key] = min(section[key], largest)
    values["storage"] = {"uri": storage}
    values["compute"] |= {"nodes": 1, "ranks": RANKS, "threads_per_rank": 1, "device": "cpu", "gpu": None}
    values["sft"]["batch_size"] = 2 * RANKS
    values["rl"]["prompts_per_step"] = values["rl"]["mini_batches"] * RANKS
    _shrink_models(values)
    values["rollout"] |= {"engine": "transformers", "vllm": {}}
    values["evaluation"] |= {"engine": "transformers", "vllm": {}}
    values["cluster"] |= {"vllm_secret": None, "vllm_weights_claim": None}  # of a server that nobody asks
    if any(benchmark["task"].startswith("fresh_") for benchmark in values["evaluation"]["benchmarks"]):
        values["evaluation"]["fresh"]["problems"] = 2
    for benchmark in values["evaluation"]["benchmarks"]:
        benchmark |= {"max_new_tokens": 8, "samples": min(2, benchmark["samples"])}
    for reward in values["rewards"]:
        reward |= {"workers": 1} if "workers" in reward else {}
    if all(reward["kind"] in EARNS_NOTHING for reward in values["rewards"]):
        values["rewards"].append(EVEN_SHARE)  # else all rewards of a group are equal, and nothing is updated
    return parse_config(values)


def shrunk_shape(shape: ModelShape) -> ModelShape:
    """Of the same family: the same kind of attention, of biases and of head."""
    grouped = shape.key_value_heads < shape.attention_heads
    sizes = {"layers": 1, "hidden_size": 64, "intermediate_size": 96, "vocabulary_size": 384}
    return shape.model_copy(update=sizes | {"attention_heads": 2, "key_value_heads": 1 if grouped else 2})


def _section_of(values: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *sections, key = path.split(".")
    for section in sections:
        values = values[section]
    return values, key


def _shrink_models(values: dict[str, Any]) -> None:
    if values["model"]["source"] == "scratch":
        values["model"] |= SCRATCH
    reward_models = [reward["model"] for reward in values["rewards"] if reward["kind"] == "model"]
    for model in (values["model"], *reward_models):
        if model.get("architecture"):
            model["architecture"] = shrunk_shape(ModelShape(**model["architecture"])).model_dump()
