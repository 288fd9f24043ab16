"""Files that are read whole: profiles, JSON documents, compiled pipelines. Whatever lies at a path, reading it ends.

Left out: weights, data and everything else that may be larger than memory. May import `errors`.
"""

import stat
from pathlib import Path

from gift.errors import GiftError

MOST_BYTES = 2**26
"""Twice the largest tokenizer.json that is in use."""


def read_small_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a regular file; a link to one is followed.

    Raises:
        GiftError: there is none, it can't be read, it is something else (a pipe would never end), or it is larger.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise GiftError(f"{path} can't be read: it is no regular file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero in the path
        raise GiftError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > most_bytes:
        raise GiftError(f"{path} is larger than {most_bytes:,} bytes, more than a file of this kind ever has")
    return content


def read_small_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file, which may begin with a byte order mark; raises as `read_small_file`.

    Raises:
        GiftError: it is not UTF-8, or UTF-16 without a mark, which is UTF-8 with zeros.
    """
    content = read_small_file(path, most_bytes)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise GiftError(f"{path} is not text in UTF-8; save it as UTF-8")
    return text
