"""A run that a test submits with `gift run --runner cluster`, and how it goes."""

from collections.abc import Callable

from gift.config import RunConfig
from pipelines.kubeflow.compile import compile_pipeline

IMAGE = f"registry.example.org/gift@sha256:{'b' * 64}"
RUN = ("run", "--runner", "cluster", "--profile", "local", "--image", IMAGE)
TRAINED = [
    ("PENDING", {}),
    ("RUNNING", {"root": "RUNNING", "start-run-driver": "SUCCEEDED", "start-run": "RUNNING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "RUNNING", "convert-2": "PENDING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "RUNNING", "convert-2": "PENDING"}),
    ("RUNNING", {"start-run": "SUCCEEDED", "convert": "SUCCEEDED", "convert-2": "SUCCEEDED"}),
    ("SUCCEEDED", {"start-run": "SUCCEEDED", "convert": "SUCCEEDED", "convert-2": "SUCCEEDED"}),
]

Gift = Callable[..., tuple[int, str]]
"""The command line's arguments → (exit status, output)."""

_COMPILED: dict[str, str] = {}


def compiled_once(config: RunConfig, image: str) -> str:
    """The real compiler, which takes a second."""
    key = f"{config.digest()} {image}"
    if key not in _COMPILED:
        _COMPILED[key] = compile_pipeline(config, image)
    return _COMPILED[key]
