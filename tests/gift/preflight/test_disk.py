"""The disk estimate against the files that real trainings and conversions leave, and what it depends on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_jobs import Training, train, train_together, write_inputs

from gift.config import ModelReward, ModelShape, RunConfig, load_profile, profile_names
from gift.conversion.hugging_face import convert_checkpoint
from gift.errors import GiftError
from gift.models.architecture import model_shape, parameter_count
from gift.preflight.disk import (
    GIB,
    LARGE_STAGES,
    OTHER_BYTES,
    estimate_disk,
    known_shapes,
    store_bytes,
    work_gib,
)
from gift.preflight.inputs import check_disks, disk_needs
from gift.storage import list_paths, read_manifest
from pipelines.local.services import Services

TOLERANCE = 0.04
"""File headers and DeepSpeed's notes, of a model of a million parameters; of larger ones they are less."""
SIZE = (
    "model.hidden_size=192",
    "model.intermediate_size=640",
    "model.layers=2",
    "model.attention_heads=4",
    "sft.steps=2",
    "sft.checkpoint_every=1",
)
CASES = {
    "zero 1, bf16": ("compute.zero_stage=1", "compute.precision=bf16", "conversion.precision=bf16"),
    "zero 2": ("compute.zero_stage=2",),
    "zero 3": ("compute.zero_stage=3",),
}
TWO_NODES = ("compute.zero_stage=2", "compute.nodes=2")
SFT = "gift.training.sft"


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parts_of(config: RunConfig) -> dict[str, dict[str, float]]:
    shapes = known_shapes(config)
    assert shapes is not None
    return estimate_disk(config, *shapes)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs for a model that is large enough for its weights to count."""
    return write_inputs(tmp_path_factory.mktemp("inputs"), *SIZE)


@pytest.fixture(scope="module")
def trained(services: Services, base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    folder = tmp_path_factory.mktemp("jobs")
    on_one_node = train_together(base, folder, {case: (SFT, *SIZE, *settings) for case, settings in CASES.items()})
    return on_one_node | {"two nodes": train(SFT, base, folder / "two nodes", *SIZE, *TWO_NODES)}


@pytest.mark.parametrize("case", [*CASES, "two nodes"])
def test_the_estimate_is_what_training_and_conversion_leave_on_the_disk(
    trained: dict[str, Training], base: Path, tmp_path: Path, case: str
) -> None:
    job, folder = trained[case].job, trained[case].folder
    config, nodes = job.config, job.config.compute.nodes
    parts, parameters = parts_of(config), parameter_count(_shape(config))

    assert bytes_below(base / "base") == pytest.approx(parts["prepare-model"]["model"], rel=TOLERANCE)
    first_node = folder / ("node-0" if nodes > 1 else "") / "checkpoint"
    assert bytes_below(first_node) == pytest.approx(parts["train-sft"]["trained weights"], rel=TOLERANCE)
    assert bytes_below(folder / "checkpoint") == pytest.approx(4 * parameters, rel=TOLERANCE)
    assert parts["convert-sft"]["trained weights"] == 4 * parameters

    (step,) = {path.partition("/")[0] for path in list_paths(job.resume_uri)}
    for node in range(nodes):
        manifest = read_manifest(f"{job.resume_uri}/{step}/node-{node}-of-{nodes}")
        assert manifest is not None
        stored = sum(file.size for file in manifest.files)
        assert stored == pytest.approx(parts["train-sft"]["resume"], rel=TOLERANCE)

    precision = config.conversion.precision
    output = tmp_path / "model"
    convert_checkpoint(folder / "checkpoint", base / "base", output, precision=precision, max_shard_bytes=2**30)
    assert bytes_below(output) == pytest.approx(parts["convert-sft"]["model"], rel=TOLERANCE)


def _shape(config: RunConfig) -> ModelShape:
    shape = model_shape(config.model)
    assert shape is not None
    return shape


@pytest.mark.parametrize("profile", profile_names())
def test_every_stage_with_a_model_is_estimated(profile: str) -> None:
    parts = parts_of(load_profile(profile))
    assert tuple(parts) == LARGE_STAGES
    assert all(size > 0 for sizes in parts.values() for size in sizes.values())


def test_training_holds_its_weights_and_the_checkpoint_on_its_way() -> None:
    config = load_profile("qwen2.5-7b-gsm8k")
    policy = parts_of(config)["train-policy"]
    parameters = parameter_count(_shape(config))
    assert policy["resume"] == 12 * parameters  # master weights and two moments
    assert policy["trained weights"] == 4 * parameters
    assert policy["model"] == 2 * parameters
    without = parts_of(load_profile("qwen2.5-7b-gsm8k", ("rl.checkpoint_every=0",)))["train-policy"]
    assert "resume" not in without


def test_each_of_several_nodes_holds_its_share() -> None:
    one, four = (
        parts_of(load_profile("qwen2.5-32b-dapo", (f"compute.nodes={nodes}",)))["train-policy"] for nodes in (1, 4)
    )
    assert one["trained weights"] == 4 * four["trained weights"]
    assert one["model"] == four["model"]
    assert one["resume"] == 4 * four["resume"]
    elastic = parts_of(load_profile("qwen2.5-32b-dapo", ("compute.nodes=4", "compute.elastic=true")))["train-policy"]
    assert elastic["resume"] == one["resume"], "it may need what one node had left"


def test_weights_for_vllm_are_on_the_disk_where_shared_memory_is_too_small() -> None:
    tight = "cluster.shared_memory_gib=1"
    large, small = (
        parts_of(load_profile(name, (tight,)))["train-policy"] for name in ("qwen2.5-7b-gsm8k", "qwen2.5-0.5b-gsm8k")
    )
    assert large["rollout weights"] == 2 * 152064 * 3584, "the embedding, which is more than a portion"
    assert "rollout weights" not in small
    assert "rollout weights" not in parts_of(load_profile("qwen2.5-7b-gsm8k"))["train-policy"]


def test_reward_models_are_fetched_by_both_trainings_and_by_no_other_stage() -> None:
    config = load_profile("qwen2.5-7b-rlhf")
    (reward,) = (reward for reward in config.rewards if isinstance(reward, ModelReward))
    assert {stage for stage, parts in parts_of(config).items() if "rewards" in parts} == {"train-sft", "train-policy"}
    assert parts_of(config)["train-sft"]["rewards"] == 4 * parameter_count(reward.model.architecture)


def test_a_folder_that_is_somewhere_else_has_no_known_architecture() -> None:
    elsewhere = load_profile("local", ("model={source: folder, path: /models/elsewhere}",))
    assert known_shapes(elsewhere) is None
    with pytest.raises(GiftError, match=r"train-sft can't be estimated: state cluster\.training\.work_gib"):
        work_gib(elsewhere, "train-sft", "training")
    assert work_gib(elsewhere, "gate", "light") == 2
    assert disk_needs(elsewhere, Path("/scratch"), Path("/store")) == {}


def test_a_local_run_needs_its_largest_stage_and_its_store() -> None:
    config = load_profile("local")
    needs = disk_needs(config, Path("/scratch"), Path("/store"))
    assert needs[Path("/scratch")] == max(sum(parts.values()) for parts in parts_of(config).values()) > OTHER_BYTES
    assert needs[Path("/store")] == store_bytes(config, _shape(config))
    both = disk_needs(config, Path("/one"), Path("/one"))
    assert both == {Path("/one"): sum(needs.values())}
    assert disk_needs(config, None, None) == {}
    outbox = disk_needs(config, Path("/scratch"), None, Path("/runs"))
    assert outbox[Path("/runs")] == parts_of(config)["train-policy"]["trained weights"]
    assert outbox[Path("/scratch")] < needs[Path("/scratch")] <= sum(outbox.values())


def test_folders_on_one_disk_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scratch", "store"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("gift.preflight.inputs.shutil.disk_usage", lambda _: SimpleNamespace(free=10 * GIB))
    check_disks({tmp_path / "scratch": 6.0 * GIB})
    check_disks({tmp_path / "not there yet" / "runs": 0.0, tmp_path / "scratch": 6.0 * GIB})
    with pytest.raises(GiftError, match=r"10\.0 GiB are free at .*scratch, a run needs at least 11\.0 GiB there"):
        check_disks({tmp_path / "scratch": 6.0 * GIB, tmp_path / "store": 5.0 * GIB})


def test_without_sft_later_stages_hold_the_base_model_as_it_is() -> None:
    parts = parts_of(load_profile("qwen2.5-7b-gsm8k", ("sft.steps=0",)))
    base = parts["prepare-model"]["model"]
    half = parts["evaluate-candidate"]["model"]
    assert base == 2 * half
    assert parts["train-policy"]["model"] == parts["evaluate-sft"]["model"] == base
    assert parts["convert-candidate"]["model"] == half
    assert parts["train-sft"].keys() == parts["convert-sft"].keys() == {"other"}
