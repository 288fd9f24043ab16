"""The configuration: what is refused, how it is said, and what the digest depends on."""

from pathlib import Path

import pytest

from gift.config import load_profile, parse_config, profile_names
from gift.config.reading import PROFILES
from gift.errors import GiftError


def test_every_profile_is_valid() -> None:
    assert {"local", "smollm2-gsm8k"} <= set(profile_names())
    for name in profile_names():
        load_profile(name)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rollout.group_size=1", "rollout.group_size: input should be greater than or equal to 2"),
        ("rollout.temperature=0", "rollout.temperature: input should be greater than 0"),
        ("rl.learning_rate=1e-3", "rl.learning_rate is not a known key"),
        ("rl.steps=many", "rl.steps: input should be a valid integer"),
        ("gate.confidence=1.5", "gate.confidence: input should be less than 1"),
        ("evaluation.benchmarks.0.limit=0", "evaluation.benchmarks.0.limit: input should be greater than 0"),
        ("evaluation.benchmarks.0.samples=4", "samples is only for the task heldout_sampled"),
        ("gate.benchmark=gsm8k", "must be one of evaluation.benchmarks"),
        ("sft.batch_size=7", "must be a multiple of sft.micro_batch_size x compute.ranks"),
        ("rl.prompts_per_step=3", "must be a multiple of rl.mini_batches x rl.micro_batch_groups x compute.ranks"),
        ("rollout.max_new_tokens=100000", "must not exceed model.context_length"),
        (
            "rollout={engine: vllm, max_prompt_tokens: 96, max_new_tokens: 56, vllm: {tensor_parallel: 3}}",
            "must divide",
        ),
        ("algorithm=ppo", "algorithm: input should be 'gift', 'grpo', 'gvpo', 'dpo' or 'una'"),
        ("gift=papers", "gift: must be a mapping or one of paper-literal, author"),
        ("gift.std_floor=0", "std_floor or std_epsilon must be positive"),
        ("gift={reference: rollout, zero_variance: nothing}", "gift.zero_variance: input should be 'drop'"),
        ("prompt=Answer", "must contain {question} exactly once"),
        ("rewards=[{kind: gsm8k}, {kind: gsm8k}]", "every reward needs a name of its own"),
        ("model.attention_heads=7", "attention_heads must divide hidden_size"),
        ("storage.uri=/tmp/x", "storage.uri: string should match pattern"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_in_one_line(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("override", ["rl.steps", "=3", "evaluation.benchmarks.9.limit=3", "rl.steps={"])
def test_an_override_that_is_none_is_refused(override: str) -> None:
    with pytest.raises(GiftError, match="--set"):
        load_profile("local", (override,))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data={source: dapo}",), "DAPO has no worked answers; set sft.steps to 0, or data.sft"),
        (("rl.groups=dataset",), "rl.groups: dataset needs scored responses"),
        (("data={source: ultrafeedback}",), "UltraFeedback has no final answers for gsm8k, heldout, heldout_sampled"),
        (("data={source: gsm8k, hub_revision: main}",), "data.gsm8k.hub_revision is not a known key"),
        (("evaluation.heldout_answers=guess",), "evaluation.heldout_answers: input should be 'gsm8k', 'boxed' or"),
        (("evaluation.benchmarks.0.task=mmlu",), "'heldout', 'heldout_sampled', 'gsm8k', 'math500' or 'aime24'"),
    ],
)
def test_data_that_lacks_what_is_asked_of_it_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", overrides)
    assert message in str(refusal.value)


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(GiftError, match=r"rl\.steps.*rollout\.temperature|rollout\.temperature.*rl\.steps"):
        load_profile("local", ("rl.steps=0", "rollout.temperature=-1"))


def test_overrides_reach_into_lists_and_are_read_as_yaml() -> None:
    config = load_profile("local", ("evaluation.benchmarks.0.limit=7", "rl.optimizer.learning_rate=1.5e-4"))
    assert config.evaluation.benchmarks[0].limit == 7
    assert config.rl.optimizer.learning_rate == 1.5e-4


def test_a_profile_can_be_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("description: nothing else\n")
    with pytest.raises(GiftError, match="model: field required"):
        load_profile(str(own))
    own.write_text("- a list\n")
    with pytest.raises(GiftError, match="must hold a mapping"):
        load_profile(str(own))
    own.write_text("a: [")
    with pytest.raises(GiftError, match="is not YAML"):
        load_profile(str(own))
    with pytest.raises(GiftError, match="choose one of"):
        load_profile("missing")


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text((PROFILES / "local.yaml").read_text() + "gate: {benchmark: heldout}\n")
    with pytest.raises(GiftError, match=r"the key gate is there twice.*line \d+"):
        load_profile(str(profile))


def test_json_round_trip_keeps_the_digest_and_a_change_does_not() -> None:
    config = load_profile("local")
    assert parse_config(config.model_dump_json()).digest() == config.digest()
    assert load_profile("local", ("seed=1",)).digest() != config.digest()
