"""A small project with one image, built as the stages' image is, in a second."""

import subprocess
from pathlib import Path

import pytest

from pipelines.images import build as image_build
from pipelines.images import describe

DOCKERFILE = """
FROM scratch AS torch-answer
COPY gift/torch/ /
FROM scratch AS sbom
COPY gift/sbom.cdx.json /
FROM scratch
COPY gift/code.py wheels* /
ARG GIT_SHA
ARG SOURCE_DIGEST
ARG FOUNDATION_DIGEST
ARG LOCK_DIGEST
ARG BASE_DIGEST
ARG VARIANT
ARG TORCH
LABEL org.opencontainers.image.revision=${GIT_SHA} org.opencontainers.image.base.digest=${BASE_DIGEST} \\
      gift.foundation-digest=${FOUNDATION_DIGEST} gift.source-digest=${SOURCE_DIGEST} \\
      gift.lock-digest=${LOCK_DIGEST} gift.variant=${VARIANT} gift.torch=${TORCH}
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its Dockerfile answers that there is no CPU build of torch."""
    folder = tmp_path / "checkout"
    files = {
        "gift/code.py": f"print('{tmp_path}')",  # an image of its own in every run
        "gift/sbom.cdx.json": "{}",
        "gift/torch/arguments": "torch==2.13.0",
        "gift/torch/reason": "torch: the registry's build",
        "images/gift/Dockerfile": DOCKERFILE,
        "pyproject.toml": "[project]\nname = 'gift'\nversion = '1'\n",
    }
    files |= {f"requirements/{name}.txt": "" for name in ("build", "cpu", "gpu", "models", "torch")}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    for module in (describe, image_build):
        monkeypatch.setattr(module, "CHECKOUT", folder)
        monkeypatch.setattr(module, "BUILT", folder / "images" / "built")
    return folder
