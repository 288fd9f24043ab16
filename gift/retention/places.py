"""The directories of a store that can go one by one: each shared output, and all that belongs to one run."""

import re

from gift.execution.output import OUTPUT_KINDS

RUNS = "runs"
PREFIXES = (*OUTPUT_KINDS, RUNS)
"""What is looked through below a storage URI. A bucket holds more: MLflow's files, KFP's, locks, the mirror."""
PLACE = re.compile(rf"((?:{'|'.join(OUTPUT_KINDS)})/[0-9a-f]{{16}}|{RUNS}/[^/]+)(?:/|$)")


def place_of_path(path: str) -> str | None:
    """The directory that a path below the storage URI is in, as `models/0123456789abcdef`; None for other paths."""
    match = PLACE.match(path)
    return match[1] if match else None


def places_in(text: str, storage: str) -> set[str]:
    """The directories that a text names by their URIs, or by those of what is in them."""
    bucket = storage.removeprefix("s3://")
    found = re.findall(rf"s3[an]?://{re.escape(bucket)}/([^\s\"'<>,;]+)", text)
    return {place for path in found if (place := place_of_path(path))}
