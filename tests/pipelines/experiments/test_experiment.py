"""Planning: every configuration is derived and checked before anything starts, and the run's id names the trainings."""

import pytest

from gift.config import RunConfig, load_profile
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards.gsm8k import gsm8k_reward
from pipelines.experiments.baselines import baselines
from pipelines.experiments.experiment import Experiment, PlannedExperiment, Variant, plan_experiment
from pipelines.experiments.gift_options import gift_options
from pipelines.experiments.head_to_head import head_to_head
from pipelines.experiments.length import length
from pipelines.experiments.long_training import long_training
from pipelines.experiments.overfitting import overfitting
from pipelines.experiments.rollout_ablation import Budget, rollout_ablation
from pipelines.experiments.staleness import staleness
from pipelines.experiments.wrong_rewards import at_random, tenth_turned, three_tenths_turned, wrong_rewards

TWO = Experiment(
    name="two",
    title="Two",
    question="Which?",
    variants=(Variant("gift", "GIFT"), Variant("grpo", "GRPO", ("algorithm=grpo",), learning_rate=0.5)),
    baseline="gift",
)


@pytest.fixture(scope="module")
def base() -> RunConfig:
    return load_profile("local")


def _plan(
    experiment: Experiment, *overrides: str, seeds: tuple[int, ...] = (0, 1), tuning_seed: int | None = 0
) -> PlannedExperiment:
    return plan_experiment(experiment, "local", overrides, seeds=seeds, tuning_seed=tuning_seed)


def test_every_trial_has_its_variants_settings_its_seed_and_its_rate() -> None:
    planned = _plan(TWO, "rl.optimizer.learning_rate=6e-4", "rl.steps=7")
    assert set(planned.trials) == {
        *(("gift", 0, rate) for rate in (2e-4, 6e-4, 1.8e-3)),
        *(("grpo", 0, rate) for rate in (1e-4, 3e-4, 9e-4)),
        ("gift", 1, 2e-4),
        ("grpo", 1, 1e-4),
    }
    for (variant, seed, rate), config in planned.trials.items():
        assert (config.algorithm, config.seed, config.rl.optimizer.learning_rate) == (variant, seed, rate)
        assert config.rl.steps == 7
    assert [config.seed for config in planned.starts.values()] == [0, 1]
    assert planned.trainings == 2 * 3 + 2 * 2 - 2  # the tuning seed's best is not trained again


def test_without_tuning_each_variant_has_its_own_rate() -> None:
    planned = _plan(TWO, tuning_seed=None)
    assert {rate for _, _, rate in planned.trials} == {6e-4, 3e-4}
    assert planned.trainings == 4
    assert planned.plan.tuning_seed is None


def test_a_tuning_seed_of_its_own_is_prepared_too() -> None:
    planned = _plan(TWO, seeds=(1, 2), tuning_seed=0)
    assert set(planned.starts) == {0, 1, 2}
    assert planned.trainings == 2 * 3 + 2 * 2


def test_the_variants_settings_win_over_the_users_and_the_users_over_the_experiments() -> None:
    experiment = Experiment(**{**vars(TWO), "settings": ("rl.heldout_every=5", "rl.steps=11")})
    trials = _plan(experiment, "algorithm=gvpo", "rl.steps=7", tuning_seed=None).trials
    grpo = trials["grpo", 0, 3e-4]
    assert (grpo.algorithm, grpo.rl.steps, grpo.rl.heldout_every) == ("grpo", 7, 5)
    assert trials["gift", 0, 6e-4].algorithm == "gvpo"


def test_the_run_id_is_the_same_for_the_same_trainings_and_another_for_others() -> None:
    first = _plan(TWO).run_id
    assert first.startswith("two-local-")
    assert _plan(TWO).run_id == first
    assert _plan(TWO, seeds=(0, 1, 2, 3)).run_id == first  # more seeds go on with what is there
    changed = Experiment(**{**vars(TWO), "variants": (TWO.variants[0], Variant("grpo", "GRPO", ("algorithm=grpo",)))})
    others = {_plan(TWO, "rl.steps=3").run_id, _plan(TWO, tuning_seed=None).run_id, _plan(changed).run_id}
    assert len(others) == 3
    assert first not in others


def test_a_variant_must_not_change_what_all_share() -> None:
    experiment = Experiment(**{**vars(TWO), "variants": (Variant("gift", "GIFT"), Variant("x", "X", ("data.sft=9",)))})
    with pytest.raises(GiftError, match="variant x changes data"):
        _plan(experiment)


def test_a_variant_that_the_configuration_refuses_is_named_with_its_key() -> None:
    wrong = Variant("x", "X", ("algorithm=grpo", "rl.groups=sft-policy"))
    with pytest.raises(GiftError, match=r"so rl\.groups must be on-policy"):
        _plan(Experiment(**{**vars(TWO), "variants": (TWO.variants[0], wrong)}))


@pytest.mark.parametrize("profile", ["local", "smollm2-gsm8k"])
@pytest.mark.parametrize("tuning_seed", [0, None])
def test_the_experiments_are_valid_on_the_profiles(profile: str, tuning_seed: int | None) -> None:
    base = load_profile(profile)
    lists = (
        head_to_head, rollout_ablation, gift_options, baselines, staleness, wrong_rewards, long_training, length,
    )  # fmt: skip
    for experiment in (*(define(base) for define in lists), overfitting(base, 64)):
        planned = plan_experiment(experiment, profile, seeds=(0, 1), tuning_seed=tuning_seed)
        assert planned.plan.baseline in [variant.name for variant in planned.plan.variants]
        assert all(config.rl.heldout_every > 0 for config in planned.trials.values())


def test_head_to_head_gives_every_objective_the_same_budget(base: RunConfig) -> None:
    planned = plan_experiment(head_to_head(base), "local", seeds=(0,), tuning_seed=None)
    assert {config.algorithm for config in planned.trials.values()} == {"gift", "grpo", "gvpo", "dpo", "una"}
    assert len({variant.responses for variant in planned.plan.variants}) == 1
    groups = {name: config.group_source for (name, _, _), config in planned.trials.items()}
    assert groups["dpo"] == "sft-policy"
    assert groups["una"] == groups["gift"] == "on-policy"


def test_the_baselines_get_the_same_budget(base: RunConfig) -> None:
    planned = plan_experiment(baselines(base), "local", seeds=(0,), tuning_seed=None)
    algorithms = {config.algorithm for config in planned.trials.values()}
    assert algorithms == {"gift", "grpo", "dapo", "dr_grpo", "gspo", "cispo", "oapl"}
    assert len({variant.responses for variant in planned.plan.variants}) == 1
    assert not [name for (name, _, _), config in planned.trials.items() if config.zero_variance == "refill"]


def test_staleness_has_every_objective_at_every_lag(base: RunConfig) -> None:
    trials = plan_experiment(staleness(base), "local", seeds=(0,), tuning_seed=None).trials
    lags = {name: config.rollout.lag for (name, _, _), config in trials.items()}
    assert len(lags) == 6 * 4 + 3
    assert all(name.endswith(f"-lag-{lag}") for name, lag in lags.items())
    capped = {name for (name, _, _), config in trials.items() if config.grpo.importance_cap is not None}
    assert capped == {f"grpo-truncated-lag-{lag}" for lag in (4, 16, 64)}


def test_overfitting_trains_on_as_few_prompts_as_it_is_told(base: RunConfig) -> None:
    planned = plan_experiment(overfitting(base, 64), "local", seeds=(0,), tuning_seed=None)
    assert {config.data.train for config in planned.trials.values()} == {64}
    assert planned.plan.title == "64 training prompts, seen 20 times"
    assert "--prompts 64" in planned.plan.command


def test_length_weighs_long_and_short_responses_in_every_way() -> None:
    base = load_profile("varied-length")
    planned = plan_experiment(length(base), "varied-length", seeds=(0,), tuning_seed=None)
    ways = {(c.algorithm, c.gift.reduction, c.gift.std_floor) for c in planned.trials.values()}
    assert ways == {
        ("gift", "sum", 3.0), ("gift", "mean", 0.027), ("gift", "mean", 0.054), ("grpo", "sum", 3.0),
        ("dr_grpo", "sum", 3.0),
    }  # fmt: skip
    assert {config.data.thorough_rate for config in planned.trials.values()} == {0.5}


def test_long_training_is_four_times_what_the_profile_or_the_user_says() -> None:
    base = load_profile("local", ("rl.steps=30",))
    planned = plan_experiment(long_training(base), "local", ("rl.steps=30",), seeds=(0,), tuning_seed=None)
    assert {config.rl.steps for config in planned.trials.values()} == {120}
    assert {config.rl.heldout_every for config in planned.trials.values()} == {6}
    assert planned.plan.title == "120 steps instead of 30"


def test_wrong_rewards_turn_the_share_that_they_say_and_always_the_same_ones() -> None:
    problem = Problem("p", "?", "", "7")
    responses = [f"{index} #### {7 if index % 2 else 8}" for index in range(4000)]
    honest = [gsm8k_reward(response, problem) for response in responses]
    for reward, share in ((tenth_turned, 0.1), (three_tenths_turned, 0.3), (at_random, 0.5)):
        found = [reward(response, problem) for response in responses]
        assert found == [reward(response, problem) for response in responses]
        wrong = sum(one != other for one, other in zip(found, honest, strict=True)) / len(responses)
        assert wrong == pytest.approx(share, abs=0.03)
    other = Problem("q", "?", "", "7")
    assert [at_random(response, other) for response in responses] != [
        at_random(response, problem) for response in responses
    ]


def test_wrong_rewards_change_nothing_but_the_reward(base: RunConfig) -> None:
    trials = plan_experiment(wrong_rewards(base), "local", seeds=(0,), tuning_seed=None).trials
    kinds = {name: config.rewards[0].kind for (name, _, _), config in trials.items()}
    assert len(kinds) == 16
    assert all((kind == "gsm8k") == name.endswith("-honest") for name, kind in kinds.items())


def test_the_ablation_keeps_prompts_or_responses(base: RunConfig) -> None:
    for budget, prompts, responses in (
        (Budget.prompts, [16] * 5, [2560, 5120, 10240, 20480, 40960]),
        (Budget.responses, [64, 32, 16, 8, 4], [10240] * 5),
    ):
        experiment = rollout_ablation(base, budget)
        planned = plan_experiment(experiment, "local", seeds=(0,), tuning_seed=None)
        sizes = [planned.trials[f"n{size}", 0, 6e-4] for size in (2, 4, 8, 16, 32)]
        assert [config.rollout.group_size for config in sizes] == [2, 4, 8, 16, 32]
        assert [config.rl.prompts_per_step for config in sizes] == prompts
        assert [variant.responses for variant in planned.plan.variants][:5] == responses
        assert f"--budget {budget.value}" in planned.plan.command
    mean = planned.trials["mean", 0, 6e-4]
    assert (mean.gift.reduction, mean.gift.reference, mean.rollout.group_size) == ("mean", "sft", 8)
    assert mean.gift.std_floor == pytest.approx(3 / 28, rel=0.05)


def test_a_budget_that_no_rank_can_share_is_refused() -> None:
    base = load_profile("local", ("rl.prompts_per_step=4",))
    with pytest.raises(GiftError, match="groups of 32"):
        rollout_ablation(base, Budget.responses)


def test_gift_options_change_one_choice_each(base: RunConfig) -> None:
    trials = plan_experiment(gift_options(base), "local", seeds=(0,), tuning_seed=None).trials
    options = {name: config.gift for (name, _, _), config in trials.items()}
    assert options["default"].std_floor == 3.0
    assert options["author"].reference == "rollout"
    assert options["paper-literal"].std_floor == 0.0
    assert options["attached"] == options["default"].model_copy(update={"statistics": "attached"})
    assert options["floor-0.3"] == options["default"].model_copy(update={"std_floor": 0.3})
    assert options["refill"].zero_variance == "refill"
