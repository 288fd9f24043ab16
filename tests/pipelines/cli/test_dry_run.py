"""`gift run --dry-run`: every profile is checked and estimated, a run that does not fit is told what to change."""

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from gift.config import load_profile, profile_names
from gift.preflight.disk import estimate_disk, known_shapes
from gift.preflight.memory import GIB
from pipelines.cli.main import app

ROOT = Path(__file__).parents[3]
ON_GPUS = [name for name in profile_names() if load_profile(name).compute.gpu is not None]

ONE_GPU = ("qwen2.5-0.5b-gsm8k", "qwen2.5-1.5b-gsm8k-lora")


@pytest.fixture
def dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `gift run --dry-run` in an empty folder; returns (exit code, all output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIFT_DATA_DIR", raising=False)

    def run(profile: str, *overrides: str) -> tuple[int, str]:
        options = [part for override in overrides for part in ("--set", override)]
        result = CliRunner().invoke(app, ["run", "--profile", profile, "--dry-run", *options])
        assert list(tmp_path.iterdir()) == []
        return result.exit_code, result.output

    return run


def test_the_paper_has_its_profiles() -> None:
    assert set(ON_GPUS) == {
        "deepseek-7b-gsm8k",
        "deepseek-7b-math",
        "qwen2.5-7b-gsm8k",
        "qwen2.5-7b-math",
        "qwen2.5-7b-rlhf",
        "qwen2.5-32b-dapo",
        *ONE_GPU,
    }


@pytest.mark.parametrize("profile", ON_GPUS)
def test_every_profile_fits_the_gpus_it_asks_for(dry_run, profile: str) -> None:
    status, output = dry_run(profile)
    assert status == 0
    assert "FITS: " in output
    model = load_profile(profile).model
    assert f"asked for at run time: {model.name}@{model.revision}" in output


@pytest.mark.parametrize("profile", ONE_GPU)
def test_the_profiles_for_one_gpu_say_how_much_memory_is_left_and_how_long_they_take(dry_run, profile: str) -> None:
    status, output = dry_run(profile)
    assert status == 0
    assert "GPUs        1 x L4" in output
    (spare,) = re.findall(r"^FITS: .*of 22\.0 GiB \(L4\), and leaves .* GiB \((\d+)%\)$", output, re.MULTILINE)
    assert int(spare) >= 10
    (hours,) = re.findall(r"^time        at most about (\d\.\d\d) h \(warm-up .* evaluation", output, re.MULTILINE)
    assert float(hours) < (2 if profile == "qwen2.5-0.5b-gsm8k" else 4)
    assert "not measured: 30% of the GPU's operations" in output


def test_a_profile_that_does_not_say_how_fast_its_gpus_are_gets_no_estimate_of_time(dry_run) -> None:
    assert "at most about" not in dry_run("qwen2.5-7b-gsm8k")[1]


def test_adapters_are_counted_beside_the_model(dry_run) -> None:
    _, output = dry_run("qwen2.5-1.5b-gsm8k-lora")
    assert "parameters  1,543,714,304, and 36,929,536 of adapters, which are trained" in output


def test_the_page_tells_what_the_run_will_do(dry_run) -> None:
    _, output = dry_run("qwen2.5-32b-dapo")
    for fact in (
        "data        asked for at run time: open-r1/DAPO-Math-17k-Processed@31dd309567e3da778038cc87d868b6097a3ccf68",
        "1,024 prompts x 16 responses = 16,384 responses",
        "4,096 responses, 400 updates",
        "1,638,400 responses in 100 batches, at most 10,066,329,600 tokens",
        "32 x B200, 4 node(s), ZeRO-3",
        "32,763,876,352",
        "976.4 GiB per node",
    ):
        assert fact in output


def test_the_page_tells_what_the_gate_can_show(dry_run) -> None:
    _, output = dry_run("local")
    assert "gate        heldout, 500 problems: a true difference of +5.2 points to another model is shown" in output


def test_the_page_tells_what_a_cluster_holds_at_once(dry_run) -> None:
    def cluster(profile: str, *settings: str) -> str:
        return next(line for line in dry_run(profile, *settings)[1].splitlines() if line.startswith("cluster"))

    beside, after = "base and SFT are evaluated beside the", "base and SFT are evaluated after the"
    assert cluster("local") == f"cluster     {beside} training, which needs 4 CPUs, 10 GiB"
    gpus = "qwen2.5-7b-gsm8k"
    assert cluster(gpus) == f"cluster     {after} training, which needs 96 CPUs, 320 GiB, 8 GPUs"
    stated = cluster(gpus, "cluster.evaluate_beside_training=true")
    assert stated == f"cluster     {beside} training, which needs 104 CPUs, 368 GiB, 9 GPUs"


def test_a_run_that_does_not_fit_is_told_the_largest_part_and_the_way_out(dry_run) -> None:
    status, output = dry_run("qwen2.5-7b-math", "compute.activation_checkpointing=false")
    assert status == 1
    assert "DOES NOT FIT: the update phase needs" in output
    assert "the largest part is activations" in output
    assert "set compute.activation_checkpointing" in output


def test_without_gpus_this_machines_memory_counts(dry_run) -> None:
    status, output = dry_run("local")
    assert status == 0
    assert "(this machine's memory)" in output
    status, output = dry_run("local", "compute.tokens_per_micro_batch=10000000", "rollout.group_size=100000")
    assert status == 1
    assert "DOES NOT FIT" in output


def test_the_disk_of_every_stage_is_shown(dry_run) -> None:
    _, output = dry_run("qwen2.5-32b-dapo")
    assert "GiB of disk per stage, of training on each node" in output
    for stage, parts in estimate_disk(load_profile("qwen2.5-32b-dapo"), *_shapes("qwen2.5-32b-dapo")).items():
        (row,) = (line for line in output.splitlines() if f" {stage} " in line)
        assert row.rstrip("│ ").endswith(f" {sum(parts.values()) / GIB:.2f}")


def _shapes(profile: str):
    shapes = known_shapes(load_profile(profile))
    assert shapes is not None
    return shapes


def test_a_disk_that_is_too_small_counts_where_the_run_may_take_place_here(
    dry_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift.preflight.inputs.shutil.disk_usage", lambda _: SimpleNamespace(free=3 * GIB))
    assert dry_run("local")[0] == 0
    assert dry_run("qwen2.5-7b-gsm8k")[0] == 0  # for other machines
    status, output = dry_run("local", "model.hidden_size=2048", "model.intermediate_size=4096", "model.layers=4")
    assert status == 1
    assert "DOES NOT FIT: 3.0 GiB are free at" in output


@pytest.mark.parametrize(
    ("profile", "overrides", "message"),
    [
        ("qwen2.5-7b-gsm8k", ["data.folder=/no/such"], "data folder /no/such does not exist"),
        ("qwen2.5-7b-gsm8k", ["compute.gpu="], "compute.gpu must say which GPUs"),
        ("qwen2.5-7b-gsm8k", ["model.architecture="], "state model.architecture"),
        ("qwen2.5-7b-rlhf", ["rewards.0.model.architecture="], "state reward skywork: model.architecture"),
    ],
)
def test_what_cannot_be_checked_or_estimated_is_said_in_one_line(
    dry_run, profile: str, overrides: list[str], message: str
) -> None:
    status, output = dry_run(profile, *overrides)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1


def test_local_files_are_found_and_named(dry_run, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    for name in ("gsm8k_train", "gsm8k_test"):
        (folder / f"{name}.jsonl").touch()
    _, output = dry_run("qwen2.5-7b-gsm8k", f"data.folder={folder}")
    assert f"{folder / 'gsm8k_train.jsonl'}: found" in output
    assert "openai/gsm8k" not in output


def test_it_answers_at_once_and_loads_no_torch() -> None:
    program = (
        "import sys; from pipelines.cli.main import app; "
        "app(['run', '--profile', 'qwen2.5-32b-dapo', '--dry-run'], standalone_mode=False); "
        "assert not {'torch', 'kfp', 'datasets'} & set(sys.modules)"
    )
    started = time.monotonic()
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert time.monotonic() - started < 10  # about one second; the margin is for a busy machine


def test_more_than_one_node_is_refused_without_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gift.errors import GiftError
    from gift.preflight.inputs import check_run

    with pytest.raises(GiftError, match=r"compute\.nodes is 4, and a run on this machine has one"):
        check_run(load_profile("qwen2.5-32b-dapo"), [tmp_path])
