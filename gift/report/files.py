"""Reading and writing the JSON files of this package: whole files only, and faults in one line.

Left out: the schemas themselves.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gift.errors import GiftError
from gift.host.small_file import read_small_text

Model = TypeVar("Model", bound=BaseModel)


def parse_document(kind: type[Model], values: Mapping[str, Any] | str, where: str) -> Model:
    """Validate plain values (or a JSON text) as a `kind`, which is called by its class's name in small letters.

    Raises:
        GiftError: with every refused key and the reason, in one line.
    """
    name = kind.__name__.lower()
    try:
        return kind.model_validate_json(values) if isinstance(values, str) else kind.model_validate(values)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or f'the {name}'}: {fault['msg']}" for fault in error.errors())
        raise GiftError(f"{where} is not a valid {name}: {'; '.join(faults)}") from None


def load_document(kind: type[Model], path: Path) -> Model:
    """Read and validate a JSON file.

    Raises:
        GiftError: the file cannot be read, or is no `kind`.
    """
    return parse_document(kind, read_small_text(path), where=str(path))


def save_document(model: BaseModel, path: Path) -> None:
    """Write JSON, indented with one line per short list of numbers, as a whole or not at all.

    Raises:
        GiftError: the file cannot be written.
    """
    text = json.dumps(model.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    # A line break is never inside a JSON string, so this joins lists of numbers only.
    text = re.sub(r"\[\n +((?:[-\w.+]+,\n +)*[-\w.+]+)\n +\]", lambda found: f"[{_one_line(found[1])}]", text)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise GiftError(f"cannot write the {type(model).__name__.lower()} {path}: {error}") from error


def _one_line(numbers: str) -> str:
    return re.sub(r"\n +", " ", numbers)
