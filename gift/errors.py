"""The one exception a user should ever see: its text is a complete sentence that says what is wrong and what to do."""


class GiftError(Exception):
    """A fault of the input or the surroundings (not of the code); printed as one line, without a traceback."""
