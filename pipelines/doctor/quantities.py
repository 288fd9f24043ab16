"""Kubernetes' amounts for people: `8` cores, `48 GiB`, `2` GPUs."""

from decimal import Decimal

GIB = 2**30


def amount_text(resource: str, amount: Decimal) -> str:
    """Memory and disk in GiB, everything else in its own unit."""
    if "memory" in resource or "storage" in resource:
        return f"{float(amount / GIB):.4g} GiB"
    return f"{float(amount):.4g}"
