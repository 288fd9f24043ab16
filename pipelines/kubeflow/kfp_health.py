"""Which KFP answers: what it says of itself at /healthz, and the oldest that is taken."""

import json
import re
from dataclasses import dataclass

from gift.errors import GiftError

OLDEST = (2, 5)
"""Before, KFP does not put the id of a run into its tasks."""


@dataclass(frozen=True)
class KfpHealth:
    """What is known of a server."""

    version: tuple[int, int] | None
    """(2, 17); None where it does not tell, as one that was built by hand."""
    multi_user: bool


def read_health(text: str) -> KfpHealth:
    """Take KFP's answer apart; what is missing is not known."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    found = re.match(r"v?(\d+)\.(\d+)", str(said.get("tag_name")))
    return KfpHealth((int(found[1]), int(found[2])) if found else None, said.get("multi_user") is True)


def refuse_old_kfp(host: str, health: KfpHealth) -> None:
    """Raises: GiftError: it is older than 2.5."""
    if health.version is not None and health.version < OLDEST:
        raise GiftError(
            f"KFP {health.version[0]}.{health.version[1]} at {host} is too old: it gives all runs one id; upgrade it "
            "to 2.17 (2.5 is the oldest that works)"
        )
