"""Values that only somebody else would refuse, hours later, and keys that a run would take no notice of."""

import pytest

from gift.config import load_profile
from gift.errors import GiftError

SCORED = "data={source: jsonl, train_file: a, heldout_file: b, scored_file: c.jsonl}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cluster.training_timeout_hours=1e300", "cluster.training_timeout_hours: input should be less than or equal"),
        ("cluster.stage_timeout_hours=999999", "cluster.stage_timeout_hours: input should be less than or equal to"),
        (f"cluster.time_to_live_hours={2**53}", "cluster.time_to_live_hours: input should be less than or equal to"),
        (f"cluster.retries={2**53}", "cluster.retries: input should be less than or equal to 100"),
        ("cluster.light.cpu=1e-9", "cluster.light.cpu: input should be greater than or equal to 0.001"),
        ("cluster.light.cpu=1e300", "cluster.light.cpu: input should be less than or equal to 100000"),
        ("cluster.model.memory_gib=1e-9", "cluster.model.memory_gib: input should be greater than or equal to"),
        ("cluster.training.work_gib=1e300", "cluster.training.work_gib: input should be less than or equal to"),
        ("cluster.shared_memory_gib=1e300", "cluster.shared_memory_gib: input should be less than or equal to"),
        ("cluster.service_wait_minutes=1e300", "cluster.service_wait_minutes: input should be less than or equal to"),
        ("compute.timeout_minutes=1e300", "compute.timeout_minutes: input should be less than or equal to 525600"),
        ("rollout.timeout_minutes=1e300", "rollout.timeout_minutes: input should be less than or equal to 525600"),
        ("rollout.vllm.cpu_cache_gib=1e300", "rollout.vllm.cpu_cache_gib: input should be less than or equal to"),
        ("rollout.vllm.gpu_memory_share=0", "rollout.vllm.gpu_memory_share: input should be greater than 0"),
        ("evaluation.vllm.gpu_memory_share=0", "evaluation.vllm.gpu_memory_share: input should be greater than 0"),
        ("rewards=[{kind: math, time_limit: 1e300}]", "rewards.0.math.time_limit: input should be less than or equal"),
        ("model.hidden_size=100", "hidden_size / attention_heads (100 / 4) must be even"),
        *((f"evaluation.benchmarks=[{{suite: {suite}}}]", "a suite is one of knowledge") for suite in ("[]", "{}")),
    ],
)
def test_a_value_that_fails_late_is_refused_at_the_start(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_largest_values_are_taken() -> None:
    year = ("cluster.training_timeout_hours=8760", "cluster.time_to_live_hours=8760", "cluster.service_wait_minutes=0")
    assert load_profile("local", (*year, "cluster.light.cpu=0.001")).cluster.training_timeout_hours == 8760


@pytest.mark.parametrize(("algorithm", "source"), [("dpo", "sft-policy"), ("gift", "on-policy")])
def test_scored_responses_that_nothing_trains_on_are_refused(algorithm: str, source: str) -> None:
    with pytest.raises(GiftError, match=rf"data\.scored_file \(c\.jsonl\) is for rl\.groups: dataset.*{source}"):
        load_profile("local", (SCORED, f"algorithm={algorithm}"))
    load_profile("local", (SCORED, "algorithm=dpo", "rl.groups=dataset"))
    load_profile("local", (SCORED, f"algorithm={algorithm}", "data.scored_file=null"))


@pytest.mark.parametrize("section", ["sft", "rl"])
def test_a_training_that_shall_go_back_to_checkpoints_leaves_some(section: str) -> None:
    settings = ("health.sick_update=rewind", f"{section}.checkpoint_every=0")
    with pytest.raises(GiftError, match=rf"rewind goes back to checkpoints, and {section}\.checkpoint_every is 0"):
        load_profile("local", settings)
    load_profile("local", settings[1:])
    load_profile("local", ("health.sick_update=rewind", "sft.checkpoint_every=0", "sft.steps=0"))


def test_a_queue_is_for_several_nodes() -> None:
    with pytest.raises(
        GiftError, match=r"cluster\.queue \(team\) is for a training on several nodes, and compute\.nodes"
    ):
        load_profile("local", ("cluster.queue=team",))
    load_profile("local", ("cluster.queue=team", "compute.nodes=2"))
