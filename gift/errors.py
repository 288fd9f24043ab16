"""The exceptions that a user should ever see, and how their text reaches a terminal.

Its text is a complete sentence that says what is wrong and what to do. Imports no other room.
"""

LONGEST_PRINTED = 4000
"""Characters of a message; Kubernetes keeps 4096 bytes of a container's last one."""


class GiftError(Exception):
    """A fault of the input or the surroundings (not of the code); printed as one line, without a traceback."""


class ServiceAwayError(GiftError):
    """A service does not answer, or not now; the same request may succeed later."""


NO_BREAK_SPACE = "\u00a0"
"""Harmless, and in our own sentences."""


def printable(text: str) -> str:
    r"""`text` as one line: what a file put into it (`\n`, `\x1b`, half a character) is shown, and does nothing."""
    kept = text[:LONGEST_PRINTED]
    escaped = kept if kept.isprintable() else "".join(_escaped(sign) for sign in kept)
    return escaped if len(text) <= LONGEST_PRINTED else f"{escaped}…"


def _escaped(sign: str) -> str:
    return sign if sign.isprintable() or sign == NO_BREAK_SPACE else sign.encode("unicode_escape").decode()
