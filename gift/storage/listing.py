"""What lies below a URI, whether complete or not."""

from gift.storage.client import connect, parse_uri, storage_faults
from gift.storage.objects import keys_below


def list_paths(uri: str) -> list[str]:
    """Paths of all objects below `uri`, relative to it and sorted; none where there is nothing.

    Raises:
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        return sorted(key.removeprefix(f"{location.prefix}/") for key in keys_below(client, location))
