"""The exceptions that a user should ever see.

Its text is a complete sentence that says what is wrong and what to do. Imports no other room.
"""


class GiftError(Exception):
    """A fault of the input or the surroundings (not of the code); printed as one line, without a traceback."""


class ServiceAwayError(GiftError):
    """A service does not answer, or not now; the same request may succeed later."""
