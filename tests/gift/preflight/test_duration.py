"""The estimate of time counts the operations and bytes of each phase, and nothing where the GPU's rates are unknown."""

import pytest

from gift.config import RunConfig, load_profile
from gift.models.architecture import model_shape
from gift.preflight.duration import (
    BANDWIDTH_SHARE,
    TRAINING_SHARE,
    TRANSFORMERS_PAUSE,
    VLLM_PAUSE,
    estimate_duration,
    total_duration,
)

PROFILE = "qwen2.5-0.5b-gsm8k"
BODY, HEAD, LAYERS, WIDTH = 357_897_600, 151_936 * 896, 24, 896
"""Weights of Qwen2.5-0.5B: what every token passes, without norms, and the head."""
RATE = TRAINING_SHARE * 121e12
BANDWIDTH = BANDWIDTH_SHARE * 300e9


def _estimate(*overrides: str) -> dict[str, float]:
    config = load_profile(PROFILE, overrides)
    found = estimate_duration(config, _shape(config))
    assert found is not None
    return {str(phase): seconds for phase, seconds in found.items()}


def _shape(config: RunConfig):
    shape = model_shape(config.model)
    assert shape is not None
    return shape


def test_training_takes_its_operations_at_the_assumed_rate() -> None:
    found = _estimate()
    prompt, response, size = 256, 300, 8
    layers = BODY + 2 * LAYERS * WIDTH * prompt
    warm_up = 116 * 64 * 2 * (layers * (prompt + response) + HEAD * response) * 3
    assert found["warm-up"] == pytest.approx(warm_up / RATE, rel=0.01)
    one_group = 2 * (layers * (prompt + size * response) + HEAD * size * response)
    assert found["update"] == pytest.approx(100 * 64 * one_group * (3 + 1 + 1) / RATE, rel=0.01)


def test_sampling_reads_the_weights_once_a_step_and_each_responses_cache() -> None:
    rows, prompt, response = 512, 256, 300
    token = 2 * LAYERS * 2 * 64 * 2
    one = response * (2 * (BODY + HEAD) / BANDWIDTH + VLLM_PAUSE) + rows * response * (prompt + 150) * token / BANDWIDTH
    one += rows * 2 * ((BODY + 2 * LAYERS * WIDTH * prompt) * (prompt + response) + HEAD * response) / RATE
    assert _estimate()["sampling"] == pytest.approx(100 * one, rel=0.01)


@pytest.mark.parametrize(
    ("change", "phase", "factor"),
    [
        ("compute.activation_checkpointing=true", "update", 6 / 5),
        ("rl.mini_batches=1", "update", 4 / 5),
        ("gift=author", "update", 4 / 5),
        ("rollout.lag=4", "update", 6 / 5),
        ("lora={rank: 8}", "update", 4 / 5),
        ("sft.steps=58", "warm-up", 1 / 2),
        ("rl.steps=50", "sampling", 1 / 2),
        ("rl.groups=sft-policy", "sampling", 1 / 100),
        ("compute.ranks=2", "update", 1 / 2),
    ],
)
def test_what_a_profile_changes_changes_its_phase(change: str, phase: str, factor: float) -> None:
    others = ("rl.prompts_per_step=64", "rl.checkpoint_every=0")
    assert _estimate(change, *others)[phase] == pytest.approx(factor * _estimate(*others)[phase], rel=0.01)


def test_a_cache_too_small_for_the_batch_makes_vllm_read_the_weights_again() -> None:
    steps = 300 * (2 * (BODY + HEAD) / BANDWIDTH + VLLM_PAUSE)
    less = _estimate("rollout.vllm.gpu_memory_share=0.1")["sampling"] - _estimate()["sampling"]
    assert less == pytest.approx(100 * 2 * steps, rel=0.01)  # three waves


def test_transformers_starts_kernels_layer_by_layer() -> None:
    more = _estimate("rollout.engine=transformers")["sampling"] - _estimate()["sampling"]
    assert more == pytest.approx(100 * 300 * (LAYERS * TRANSFORMERS_PAUSE - VLLM_PAUSE), rel=0.01)


def test_transformers_evaluates_in_batches_and_vllm_as_its_cache_allows() -> None:
    benchmark = "evaluation.benchmarks=[{task: heldout_sampled, samples: 4, max_new_tokens: 300}]"
    batches = -(-1319 * 4 // 32)
    slow = _estimate(benchmark, "evaluation.engine=transformers")["evaluation"]
    fast = _estimate(benchmark, "evaluation.vllm.gpu_memory_share=0.75")["evaluation"]
    read = 300 * 2 * (BODY + HEAD) / BANDWIDTH
    cached = 1319 * 4 * 556 * 2 * LAYERS * 2 * 64 * 2 / (0.75 * 22 * 2**30 - 2 * (BODY + HEAD))
    waves = -int(-cached // 1)
    expected = 4 * (batches * (read + 300 * LAYERS * TRANSFORMERS_PAUSE) - waves * (read + 300 * VLLM_PAUSE))
    assert slow - fast == pytest.approx(expected, rel=0.01)


def test_four_models_are_evaluated_and_the_run_is_the_sum_of_its_phases() -> None:
    found = _estimate()
    once = _estimate("evaluation.benchmarks=[{task: heldout_sampled, samples: 4, max_new_tokens: 300}]")["evaluation"]
    assert 0.5 < once / found["evaluation"] < 0.8
    assert total_duration(found) == pytest.approx(sum(found.values()))


def test_what_only_the_base_model_is_asked_counts_once() -> None:
    tasks = ("{task: heldout, max_new_tokens: 300}", "{task: heldout_partial, max_new_tokens: 300}")
    gate = "gate.benchmarks=[{benchmark: heldout, at_least: 0.0}]"
    one, both = (_estimate(f"evaluation.benchmarks=[{', '.join(tasks[:n])}]", gate) for n in (1, 2))
    assert both["evaluation"] == pytest.approx(one["evaluation"] * 5 / 4)


def test_without_the_gpus_rates_nothing_is_said() -> None:
    config = load_profile("qwen2.5-7b-gsm8k")
    assert estimate_duration(config, _shape(config)) is None
