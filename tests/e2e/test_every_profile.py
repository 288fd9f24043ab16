"""Every shipped profile runs through all its stages, as small as they take; a new one is found by itself.

Stages and ranks are forks of this process. What a profile takes from the hub or a package is made up.
"""

import re
from pathlib import Path

import pytest
from forked_ranks import forked_ranks
from forked_stages import forked_stages
from made_up_sources import fill_mirror, write_package
from shrunk_profiles import shrunk

from gift.config import PackageModel, flatten, load_profile, profile_names
from gift.preflight.inputs import check_run
from gift.tracking import stage_records, start_parent_run
from pipelines.local.runner import check_services, run_locally
from pipelines.local.services import Services

SIZES = re.compile(
    r"data\.(sft|train|heldout)|(rewards\.\d+\.)?model(\.architecture)?\.(layers|\w+_heads|\w+_size)|"
    r"rewards\.\d+\.workers|compute\.(nodes|ranks|threads_per_rank|device|gpu.*)|"
    r"(sft|rl)\.(steps|\w*batch_\w+|optimizer\.warmup_steps|checkpoint_every|heldout_\w+|prompts_per_step)|"
    r"rollout\.(engine|group_size|max_new_tokens|vllm\.\w+)|"
    r"evaluation\.(engine|vllm\.\w+|batch_size|threads|fresh\.problems|benchmarks\.\d+\.(max_new_tokens|samples))|storage\.uri|cluster\.vllm_\w+"
)


@pytest.mark.parametrize("name", profile_names())
def test_a_shrunk_profile_differs_in_sizes_and_in_its_place(name: str) -> None:
    profile = load_profile(name)
    small = shrunk(profile, "s3://gift/elsewhere")
    small = small.model_copy(update={"rewards": small.rewards[: len(profile.rewards)]})  # one may be added
    before, after = flatten(profile), flatten(small)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert [key for key in sorted(changed) if not SIZES.fullmatch(key)] == []


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_runs_from_its_data_to_its_report(
    services: Services, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIFT_DATA_DIR", raising=False)
    profile = load_profile(name)
    config = shrunk(profile, "s3://gift/profiles")
    fill_mirror(profile, config)
    if isinstance(config.model, PackageModel):
        write_package(config.model, tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
    check_run(config, (tmp_path,))
    check_services(config)
    with forked_stages(), forked_ranks():
        report = run_locally(config, f"shrunk-{name}", tmp_path / "runs").report

    stages = stage_records(start_parent_run(config, report.run_id))
    assert {stage.status for stage in stages.values()} == {"FINISHED"}
    for label in ("base", "sft", "candidate"):
        asked = config.evaluation.of_model(base=label == "base").benchmarks
        assert set(report.models[label]) == {benchmark.task for benchmark in asked}
    assert report.registry.source.startswith(report.artifacts["convert-candidate"].uri)
    assert len(stages["train-sft"].curves.get("loss", ())) == config.sft.steps
    learned = stages["train-policy"].curves
    assert [value > 0 for _, value in learned["grad_norm"]] == [True] * config.rl.steps, (
        "groups that nobody learns from"
    )
    if config.samples:
        assert {f"rewards/{reward.name}/mean" for reward in config.rewards} <= learned.keys()
