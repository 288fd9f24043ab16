"""The script for a laptop, with stand-ins for the tools that change something: no kind and no internet are here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rendered import MANIFESTS

SCRIPT = MANIFESTS / "kind" / "make-cluster.sh"
DIGEST = "b" * 64
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
"docker inspect --format"*) echo postgres@sha256:$DIGEST ;;
"docker inspect gift-registry"*) exit 1 ;;
"kind get nodes"*) echo gift-control-plane ;;
"kubectl kustomize"*) exec "$KUBECTL" "$@" ;;
*" get secret "* | *" get namespace "*) exit 1 ;;
*"apply --filename -") cat >"$APPLIED" ;;
*) ;;
esac
"""


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A copy of the checkout's manifests beside an image that was built, and stand-ins first on PATH."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    (tmp_path / "images" / "built" / "gift").mkdir(parents=True)
    image = f'{{\n  "id": "sha256:1",\n  "digest": "localhost:5001/gift@sha256:{DIGEST}"\n}}'
    (tmp_path / "images" / "built" / "gift" / "image.json").write_text(image)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("docker", "kind", "kubectl", "gift"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    kubectl = shutil.which("kubectl")
    assert kubectl is not None
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "GIFT": str(tools / "gift"),
        "KUBECTL": kubectl,
        "DIGEST": DIGEST,
        "CALLS": str(tmp_path / "calls"),
        "APPLIED": str(tmp_path / "applied"),
        "TMPDIR": str(tmp_path),
    }


def test_it_ends_with_a_command_and_leaves_no_placeholder_and_no_secret_behind(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "manifests" / "kind" / SCRIPT.name
    done = subprocess.run([script], env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    image = f"localhost:5001/gift@sha256:{DIGEST}"
    assert done.stdout.endswith(f"    gift run --runner cluster --profile local --image {image}\n")
    applied = Path(surroundings["APPLIED"]).read_text()
    images = set(re.findall(r"image: (\S+)", applied))
    assert images == {image, f"postgres@sha256:{DIGEST}"}
    calls = Path(surroundings["CALLS"]).read_text()
    made = re.findall(r"create secret generic (\S+) --namespace (\S+)", calls)
    kept = {("gift-s3", "gift"), ("gift-mlflow", "gift"), ("gift-postgres", "gift")}
    assert set(made) == kept | {("gift-s3", "kubeflow"), ("gift-mlflow", "kubeflow")}
    assert not list(tmp_path.glob("tmp.*")), "the folder with the values is removed"
    changes = [line for line in calls.splitlines() if line.startswith("kubectl ") and "kustomize overlays" not in line]
    assert all(line.startswith("kubectl --context kind-gift ") for line in changes)


def test_a_tool_that_is_missing_is_named_first(surroundings: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere" / "gift")
    done = subprocess.run([SCRIPT], env=surroundings | {"GIFT": missing}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: {missing} is not there\n")
    assert not Path(surroundings["CALLS"]).exists()


def test_the_node_is_pinned_and_who_reads_either_file_is_told_that_it_was_not_run() -> None:
    text = (MANIFESTS / "kind" / "cluster.yaml").read_text()
    (node,) = yaml.safe_load(text)["nodes"]
    assert re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", node["image"])
    assert text.startswith("# Not run by its authors")
    assert SCRIPT.read_text().startswith("#!/bin/sh\n# Not run by its authors")
