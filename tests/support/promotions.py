"""A promotion as tests of other things need it: no verdict, nobody who is told."""

from gift import registry
from gift.registry import Move


def promote(name: str, version: str, instead_of: str | None) -> Move | None:
    return registry.move_champion(
        name, version, instead_of=instead_of, kind="promotion", reason="a test", by="a test", tell=lambda move: None
    )
