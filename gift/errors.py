"""The one exception that a user should ever see.

Its text is a complete sentence that says what is wrong and what to do. Imports no other room.
"""


class GiftError(Exception):
    """A fault of the input or the surroundings (not of the code); printed as one line, without a traceback."""
