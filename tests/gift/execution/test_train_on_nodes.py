"""What an attempt at a training on several nodes finds of the one before it."""

from pathlib import Path
from typing import Any

import pytest

from gift.config import load_profile
from gift.errors import GiftError
from gift.execution.stage import Stage
from gift.execution.train_on_nodes import train_on_nodes
from gift.patience import NO_PATIENCE
from gift.storage import upload_directory
from gift.tracking import StageRun

IMAGE = f"registry.example.org/gift@sha256:{'a' * 64}"


def attempt(prefix: str) -> Any:
    config = load_profile("local", (f"storage.uri={prefix}", "compute.nodes=2"))
    stage = Stage("train-sft", config, "run", "parent", StageRun("tracking"), NO_PATIENCE)
    return train_on_nodes(stage, "gift.training.sft", "s3://data", "s3://model", f"{prefix}/resume", f"{prefix}/own")


def test_parts_that_are_complete_are_taken_and_no_job_is_submitted(
    bucket_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt before got so far, deleted its TrainJob, and died while it put the parts together."""
    monkeypatch.setenv("GIFT_IMAGE", IMAGE)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "shard").write_text("weights")
    upload_directory(tmp_path / "part", f"{bucket_prefix}/own/parts/node-0")
    with pytest.raises(GiftError, match="can't reach Kubernetes"):
        attempt(bucket_prefix)
    upload_directory(tmp_path / "part", f"{bucket_prefix}/own/parts/node-1")
    assert attempt(bucket_prefix) == [f"{bucket_prefix}/own/parts/node-{node}" for node in (0, 1)]


def test_without_the_name_of_its_image_nothing_is_submitted(
    bucket_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIFT_IMAGE", raising=False)
    with pytest.raises(GiftError, match="GIFT_IMAGE does not name the nodes' image"):
        attempt(bucket_prefix)
