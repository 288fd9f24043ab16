"""A file beside those of a complete directory, written later: a model's card, which says what its evaluation found.

It lies in the folder that people and servers copy, and in no manifest: the directory keeps its digest, so that nothing
that was made from it is made again. Left out: verifying it, which only a manifest could.
"""

from gift.errors import GiftError
from gift.storage.client import put_object
from gift.storage.manifest import read_manifest


def put_companion(uri: str, path: str, content: bytes) -> str:
    """Write `path` into the folder of the complete directory `uri`, in place of what was written so before.

    Returns: its URI.

    Raises:
        GiftError: the directory is not complete, or has a file of its own there; or S3 failed.
    """
    manifest = read_manifest(uri)
    if manifest is None:
        raise GiftError(f"{uri} is not complete, so nothing can be put beside its files; run the stage that makes it")
    if any(file.path == path for file in manifest.files):
        raise GiftError(f"{path} is one of the files of {uri}, which nobody changes")
    companion = f"{manifest.folder(uri)}/{path}"
    put_object(companion, content)
    return companion
