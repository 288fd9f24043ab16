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
        (
            "evaluation.benchmarks.0.limit=0",
            "evaluation.benchmarks.0.task.limit: input should be greater than or equal to 2",
        ),
        ("evaluation.benchmarks.0.samples=4", "samples is only for tasks that end in _sampled"),
        ("gate.benchmarks.0.benchmark=gsm8k", "gate.benchmarks: gsm8k must be one of evaluation.benchmarks"),
        ("gate.benchmarks=[]", "gate.benchmarks: tuple should have at least 1 item"),
        (
            "gate.benchmarks=[{benchmark: heldout, at_least: 0}, {benchmark: heldout, not_worse_than: 0.1}]",
            "gate.benchmarks must not name the same benchmark twice",
        ),
        ("gate.benchmarks.0.at_least=1", "gate.benchmarks.0.at_least: input should be less than 1"),
        ("gate.benchmark=heldout", "gate.benchmark is not a known key"),
        (
            "evaluation.benchmarks.0={lm_eval: piqa, metric: acc, data: {repository: baber/piqa, revision: main}}",
            "evaluation.benchmarks.0.lm_eval.data.revision: string should match pattern '^[0-9a-f]{40}$'",
        ),
        (
            f"evaluation.benchmarks.0={{lm_eval: gsm8k, metric: acc, data: {{repository: x/y, revision: {'a' * 40}}}}}",
            "gsm8k is a task of this project; write task: gsm8k, without data",
        ),
        (
            "evaluation.benchmarks.0.limit=1",
            "evaluation.benchmarks.0.task.limit: input should be greater than or equal",
        ),
        ("data.heldout=1", "data.arithmetic.heldout: input should be greater than or equal to 2"),
        ("data={source: gsm8k, heldout: 1}", "data.gsm8k.heldout: input should be greater than or equal to 2"),
        (
            "evaluation.benchmarks.1.max_new_tokens=256",
            "evaluation.benchmarks: heldout_sampled has max_new_tokens 256, which must be less than "
            "model.context_length (256)",
        ),
        ("rewards=[{kind: gsm8k, weight: 0}]", "rewards: the weight of every reward is 0, so that nothing is rewarded"),
        (f"model.vocabulary_size={10**20}", "model.scratch.vocabulary_size: input should be less than or equal to"),
        (f"rollout.group_size={10**20}", "rollout.group_size: input should be less than or equal to 131072"),
        (f"rl.prompts_per_step={10**20}", "rl.prompts_per_step: input should be less than or equal to 131072"),
        ("sft.batch_size=7", "must be a multiple of compute.ranks"),
        ("rl.prompts_per_step=3", "must be a multiple of rl.mini_batches x compute.ranks"),
        ("rollout.max_new_tokens=100000", "must not exceed model.context_length"),
        (
            "rollout={engine: vllm, max_prompt_tokens: 96, max_new_tokens: 56, vllm: {tensor_parallel: 3}}",
            "must divide",
        ),
        (
            "algorithm=ppo",
            "algorithm: input should be 'gift', 'grpo', 'gvpo', 'dpo', 'una', 'dr_grpo', 'dapo', 'gspo', 'cispo' or "
            "'oapl'",
        ),
        ("rollout.lag=2", "rollout.lag (2) keeps batches that no checkpoint holds: set rl.checkpoint_every to 0"),
        ("rollout.lag=-1", "rollout.lag: input should be greater than or equal to 0"),
        ("dapo.overlong_share=0", "dapo.overlong_share: input should be greater than 0"),
        ("gift=papers", "gift: must be a mapping or one of paper-literal, author"),
        ("gift.std_floor=0", "std_floor or std_epsilon must be positive"),
        ("gift={reference: rollout, zero_variance: nothing}", "gift.zero_variance: input should be 'drop'"),
        ("prompt=Answer", "must contain {question} exactly once"),
        ("rewards=[{kind: gsm8k}, {kind: gsm8k}]", "every reward needs a name of its own"),
        ("model.attention_heads=7", "attention_heads must divide hidden_size"),
        ("storage.uri=/tmp/x", "storage.uri: must be s3://bucket or s3://bucket/prefix"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_in_one_line(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rl.optimizer.learning_rate=on", 'rl.optimizer.learning_rate: input should be a valid number (got "on")'),
        ("rl.optimizer.learning_rate=true", "rl.optimizer.learning_rate: input should be a valid number (got true)"),
        (
            "rl.optimizer.learning_rate='3e-6'",
            'rl.optimizer.learning_rate: input should be a valid number (got "3e-6")',
        ),
        ("rl.optimizer.learning_rate=.nan", "rl.optimizer.learning_rate: input should be a finite number (got NaN)"),
        ("rl.optimizer.learning_rate=.inf", "rl.optimizer.learning_rate: input should be a finite number"),
        ("rl.optimizer.learning_rate=1e999", "rl.optimizer.learning_rate: input should be a finite number"),
        ("gate.confidence=.nan", "gate.confidence: input should be"),
        ("gate.benchmarks.0.at_least=.nan", "gate.benchmarks.0.at_least: input should be"),
        ("rl.steps=yes", 'rl.steps: input should be a valid integer (got "yes")'),
        ("rl.steps=true", "rl.steps: input should be a valid integer (got true)"),
        ("rl.steps='10'", 'rl.steps: input should be a valid integer (got "10")'),
        ("rl.steps=10.0", "rl.steps: input should be a valid integer (got 10.0)"),
        ("rl.steps=1e1", "rl.steps: input should be a valid integer (got 10.0)"),
        ("rl.steps=012", 'rl.steps: input should be a valid integer (got "012")'),
        ("rl.steps=0o14", 'rl.steps: input should be a valid integer (got "0o14")'),
        ("rl.steps=0x10", 'rl.steps: input should be a valid integer (got "0x10")'),
        ("rl.steps=1_000", 'rl.steps: input should be a valid integer (got "1_000")'),
        ("rl.steps=1:30", 'rl.steps: input should be a valid integer (got "1:30")'),
        ("seed='0'", 'seed: input should be a valid integer (got "0")'),
        ("compute.zero_stage=true", "compute.zero_stage: must be a whole number, got True"),
        ("compute.zero_stage=2.0", "compute.zero_stage: must be a whole number, got 2.0"),
        ("compute.activation_checkpointing=yes", 'activation_checkpointing: input should be true or false (got "yes")'),
        ("compute.activation_checkpointing=1", "activation_checkpointing: input should be true or false (got 1)"),
        ("description=", "description: input should be a valid string (got null)"),
        ("description=1.10", "description: input should be a valid string (got 1.1)"),
        ("data.slip_rate=.nan", "data.arithmetic.slip_rate: input should be"),
    ],
)
def test_a_value_of_another_type_is_refused(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_whole_number_is_a_number_and_a_date_is_a_text() -> None:
    config = load_profile("local", ("rollout.temperature=2", "rl.optimizer.learning_rate=3e-6"))
    assert (config.rollout.temperature, config.rl.optimizer.learning_rate) == (2.0, 3e-6)
    assert load_profile("local", ("description=2026-01-01",)).description == "2026-01-01"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rl.steps", "--set takes key=value"),
        ("=3", "--set takes key=value"),
        ("rl..steps=3", "--set takes key=value"),
        (".rl=3", "--set takes key=value"),
        ("rl.=3", "--set takes key=value"),
        ("rl.\nsteps=3", "--set takes key=value"),
        (".".join("a" * 100_000) + "=3", "--set takes key=value"),
        ("evaluation.benchmarks.9.limit=3", "--set evaluation.benchmarks.9.limit: '9' does not name anything"),
        ("evaluation.benchmarks.²=3", "'²' does not name anything in this profile"),
        (f"evaluation.benchmarks.{'9' * 5000}=3", "does not name anything in this profile"),
        ("rl.steps.more=3", "--set rl.steps.more: 'more' does not name anything in this profile, which has 80 there"),
        ("rl.steps.more.yet=3", "'more' does not name anything in this profile, which has 80 there"),
        ("rl.steps={", "the value of --set rl.steps is not YAML: while parsing a flow node"),
        ("rollout={group_size: 1, group_size: 2}", "--set rollout: the key group_size is there twice"),
        ("rollout={vllm: {threads: 1, threads: 2}}", "--set rollout: the key threads is there twice"),
        ("description=Run #3", "--set description: what follows # would be a comment; put the value in quotes"),
        ("description=\udcff", "--set description is not YAML: the character U+DCFF"),
        ("rl.steps=!!python/name:os.system", "os.system is not known here"),
        ('{"a": 1}=3', "is not a known key"),
    ],
)
def test_an_override_that_is_none_is_refused(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_override_changes_one_of_two_that_share_an_alias(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    text = (PROFILES / "local.yaml").read_text()
    text = text.replace("  training: {", "  training: &pod {").replace(
        "  model: {cpu: 2, memory_gib: 4}", "  model: *pod"
    )
    own.write_text(text)
    config = load_profile(str(own), ("cluster.model.memory_gib=5",))
    assert (config.cluster.training.memory_gib, config.cluster.model.memory_gib) == (6, 5)


def test_an_override_does_not_reach_into_null(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text((PROFILES / "local.yaml").read_text() + "dpo:\n")
    with pytest.raises(GiftError, match=r"--set dpo\.beta: 'beta' does not name anything .* has null there"):
        load_profile(str(own), ("dpo.beta=1",))


@pytest.mark.parametrize(
    "bucket",
    ["ab", "a" * 64, "a..b", "a.-b", "a-.b", "-ab", "ab-", "a_b", "Gift", "192.168.1.1", "größe", "a b", "'ab'", ""],
)
def test_a_bucket_that_s3_refuses_is_refused_at_the_start(bucket: str) -> None:
    for prefix in ("", "/team"):
        with pytest.raises(GiftError, match=r"storage\.uri: a bucket has 3 to 63 lowercase letters"):
            load_profile("local", (f'storage.uri="s3://{bucket}{prefix}"',))


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "it's",
            "a b",
            r"a\\b",
            "a?b",
            "a#b",
            "a%20b",
            "a*",
            "größe",
            "..",
            ".",
            "...",
            "a/../b",
            "a//b",
            "/a",
            "a:b",
        ),
        *(
            r"a\tb",
            r"a\nb",
            "(a)",
            "a!",
            "a&b",
            "a=b",
            "a@b",
            "a,b",
            "{a}",
            "$a",
            "~a",
            "a|b",
            "a" * 201,
            "a/" * 100 + "b",
        ),
    ],
)
def test_a_prefix_that_needs_quoting_anywhere_is_refused_at_the_start(prefix: str) -> None:
    with pytest.raises(GiftError, match=r"storage\.uri: a prefix has at most 200 characters of A-Z, a-z, 0-9"):
        load_profile("local", (f'storage.uri="s3://gift/{prefix}"',))


@pytest.mark.parametrize("uri", ["s3://gift/", "s3://gift/a/", "S3://gift", "gs://gift", "gift", "https://gift/a"])
def test_an_address_that_is_none_of_s3_is_refused_at_the_start(uri: str) -> None:
    with pytest.raises(GiftError, match=r"storage\.uri: must be s3://bucket or s3://bucket/prefix, without a slash"):
        load_profile("local", (f"storage.uri={uri}",))


@pytest.mark.parametrize("uri", ["s3://abc", "s3://a--b.c-d/Team_1/v1.0/.x/a-b", f"s3://{'a' * 63}/{'b' * 200}"])
def test_an_address_of_s3_is_taken_as_it_is(uri: str) -> None:
    assert load_profile("local", (f"storage.uri={uri}",)).storage.uri == uri


@pytest.mark.parametrize("key", ["experiment", "registered_model", "rewards.0.name"])
def test_a_name_that_mlflow_refuses_is_refused_at_the_start(key: str) -> None:
    rewards = "rewards=[{kind: gsm8k}]"
    load_profile("local", (rewards, f"{key}={'a' * 200}"))
    for name in ("a" * 201, "a" * 600):
        with pytest.raises(GiftError, match=rf"{key.replace('0.', '0.gsm8k.')}: .* at most 200 characters"):
            load_profile("local", (rewards, f"{key}={name}"))
    for name in ("größe", "a b", "a/b", "a:b", "-a", '"a\\n"', "''"):
        with pytest.raises(GiftError, match=f"{key.replace('0.', '0.gsm8k.')}: string should match"):
            load_profile("local", (rewards, f"{key}={name}"))


def test_a_description_fits_into_mlflows_note() -> None:
    assert len(load_profile("local", (f"description={'a' * 8000}",)).description) == 8000
    with pytest.raises(GiftError, match="description: string should have at most 8000 characters"):
        load_profile("local", (f"description={'a' * 8001}",))


@pytest.mark.parametrize(
    "name", ["a..b", "a.-b", "a-.b", ".a", "a.", "-a", "a-", "A", "a_b", "a/b", "ä", "a" * 254, "''"]
)
@pytest.mark.parametrize(
    "key",
    ["s3_secret", "mlflow_secret", "webhook_secret", "service_account", "work_storage_class", "queue", "runtime"],
)
def test_a_name_that_kubernetes_refuses_is_refused_at_the_start(key: str, name: str) -> None:
    with pytest.raises(GiftError, match=rf"cluster\.{key}: string should"):
        load_profile("local", (f"cluster.{key}={name}",))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"cluster.queue={'a' * 64}", "cluster.queue: string should have at most 63 characters"),
        ("cluster.node_selector={gpu: größe}", "cluster.node_selector.gpu: string should match"),
        (f"cluster.node_selector={{gpu: {'a' * 64}}}", "cluster.node_selector.gpu: string should match"),
        ("cluster.node_selector={gpu: true}", "cluster.node_selector.gpu: input should be a valid string (got true)"),
        ("cluster.node_selector={größe: a}", "cluster.node_selector.größe.[key]: string should match"),
        ("cluster.node_selector={a..b/c: a}", "cluster.node_selector.a..b/c.[key]: string should match"),
        (f"cluster.node_selector={{{'a' * 190}/{'b' * 30}: a}}", "string should have at most 200 characters"),
        ("cluster.tolerations=[{key: gpu, value: 'a b', operator: Equal}]", "tolerations.0.value: string should match"),
        ("cluster.tolerations=[{key: gpu, value: a}]", "operator: Exists takes no value; for the value a write"),
        ("cluster.gpu_resource=gpu", "cluster.gpu_resource: string should match"),
        ("model={source: hub, name: ../x, revision: main}", "model.hub.name: string should match"),
        ("model={source: hub, name: größe/x, revision: main}", "model.hub.name: string should match"),
        ("model={source: hub, name: a--b, revision: main}", "model.hub.name: string should match"),
        ("model={source: hub, name: a/b/c, revision: main}", "model.hub.name: string should match"),
        ("model={source: hub, name: 'a b', revision: main}", "model.hub.name: string should match"),
        (f"model={{source: hub, name: {'a' * 97}, revision: main}}", "name: string should have at most 96 characters"),
    ],
)
def test_what_somebody_else_would_refuse_later_is_refused_at_the_start(override: str, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        load_profile("local", (override,))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data={source: dapo}",), "DAPO has no worked answers; set sft.steps to 0, or data.sft"),
        (("rl.groups=dataset",), "rl.groups: dataset needs scored responses"),
        (("data={source: ultrafeedback}",), "UltraFeedback has no final answers for gsm8k, heldout, heldout_sampled"),
        (("data.thorough_rate=0.5",), "data.arithmetic: thorough_rate is the share that repeats equations max_checks"),
        (("data={source: gsm8k, hub_revision: main}",), "data.gsm8k.hub_revision is not a known key"),
        (("evaluation.heldout_answers=guess",), "evaluation.heldout_answers: input should be 'gsm8k', 'boxed' or"),
        (
            ("evaluation.benchmarks.0.task=mmlu",),
            "'heldout', 'heldout_sampled', 'gsm8k', 'math500', 'aime24', 'gsm8k_greedy'",
        ),
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


def test_one_reward_may_weigh_nothing_beside_others_or_less() -> None:
    rewards = "rewards=[{kind: gsm8k, weight: 0}, {kind: function, function: 'a:b', weight: -0.1}]"
    assert [reward.weight for reward in load_profile("local", (rewards,)).rewards] == [0, -0.1]


def test_a_task_of_lm_eval_that_may_write_nothing_is_not_measured_by_the_context() -> None:
    named = f"{{lm_eval: piqa, metric: acc, data: {{repository: baber/piqa, revision: {'a' * 40}}}}}"
    config = load_profile("local", (f"evaluation.benchmarks.1={named}",))
    assert config.evaluation.benchmarks[1].max_new_tokens == config.model.context_length


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
    for text in ("", "# only a comment\n", "null", "text"):
        own.write_text(text)
        with pytest.raises(GiftError, match="must hold a mapping"):
            load_profile(str(own))
    with pytest.raises(GiftError, match=r"missing\.yaml can't be read: No such file"):
        load_profile(str(tmp_path / "missing.yaml"))
    for name in ("missing", "a" * 300):
        with pytest.raises(GiftError, match="choose one of"):
            load_profile(name)


def test_a_profile_written_on_windows_is_the_same_profile(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_bytes(b"\xef\xbb\xbf" + (PROFILES / "local.yaml").read_bytes().replace(b"\n", b"\r\n"))
    assert load_profile(str(own)) == load_profile("local")


def test_keys_that_can_not_be_printed_stay_in_one_line(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text((PROFILES / "local.yaml").read_text() + '"a\\nb": 1\n')
    with pytest.raises(GiftError, match=r"'a\\nb' is not a known key"):
        load_profile(str(own))


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        (PROFILES / "local.yaml").read_text() + "gate: {benchmarks: [{benchmark: heldout, at_least: 0.0}]}\n"
    )
    with pytest.raises(GiftError, match=r"the key gate is there twice.*line \d+"):
        load_profile(str(profile))


def test_json_round_trip_keeps_the_digest_and_a_change_does_not() -> None:
    config = load_profile("local")
    assert parse_config(config.model_dump_json()).digest() == config.digest()
    assert load_profile("local", ("seed=1",)).digest() != config.digest()


@pytest.mark.parametrize("groups", ["sft-policy", "dataset"])
def test_a_lag_is_for_groups_that_the_policy_samples_while_it_trains(groups: str) -> None:
    with pytest.raises(GiftError, match=r"rollout\.lag \(2\) is for groups that the policy samples"):
        load_profile("local", ("rollout.lag=2", f"rl.groups={groups}", "rl.checkpoint_every=0"))


def test_truncated_importance_sampling_is_for_responses_of_another_policy() -> None:
    capped = ("algorithm=grpo", "grpo.importance_cap=2")
    with pytest.raises(GiftError, match=r"grpo\.importance_cap is for responses of another policy"):
        load_profile("local", capped)
    assert load_profile("local", (*capped, "rollout.engine=vllm")).grpo.importance_cap == 2
    assert load_profile("local", (*capped, "rollout.lag=1", "rl.checkpoint_every=0")).rollout.lag == 1
