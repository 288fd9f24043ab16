"""From a profile's name, or a JSON text, to a checked configuration."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gift.config.run import RunConfig
from gift.config.yaml_text import DEEPEST, parse_yaml, read_yaml
from gift.errors import GiftError

PROFILES = Path(__file__).resolve().parent.parent.parent / "profiles"
LONGEST_SHOWN = 80


def profile_names() -> list[str]:
    """The names that `load_profile` takes."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name: str, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read `profiles/<name>.yaml` (or the YAML file at the path `name`) and apply `key.path=value` overrides in order.

    Raises:
        GiftError: the profile does not exist, is not YAML, or a value is not allowed (all are named in one line).
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if path.parent == PROFILES and path.stem not in profile_names():
        choices = ", ".join(profile_names())
        raise GiftError(f"profile {name!r} does not exist; choose one of {choices}, or a file that ends in .yaml")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise GiftError(f"{path} must hold a mapping of configuration keys")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, where=str(path))


def parse_config(values: Any, where: str = "configuration") -> RunConfig:
    """Validate plain values (or a JSON text) as a `RunConfig`; a text for a number, or 10.0 for 10, is refused.

    Raises:
        GiftError: with every refused key and what it allows, in one line.
    """
    # Strict validation takes lists for tuples, and texts for paths, only from JSON.
    text = values if isinstance(values, str) else json.dumps(values)
    try:
        return RunConfig.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise GiftError(f"{where}: " + "; ".join(_explain(fault) for fault in error.errors())) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *parents, last = key.split(".")
    if not separator or not all([*parents, last]) or len(parents) >= DEEPEST or not key.isprintable():
        raise GiftError(f"--set takes key=value, for example --set rl.steps=10; got {_shown(override)}")
    node: Any = values
    for parent in parents:
        node = node.setdefault(parent, {}) if isinstance(node, dict) else _child_of_list(node, parent, key)
    value = parse_yaml(text, where=f"the value of --set {key}", comments=False)
    if isinstance(node, dict):
        node[last] = value
    else:
        _child_of_list(node, last, key)
        node[int(last)] = value


def _child_of_list(node: Any, index: str, key: str) -> Any:
    """`evaluation.benchmarks.0.limit` reaches into a list by position."""
    if isinstance(node, list) and index in map(str, range(len(node))):
        return node[int(index)]
    raise GiftError(f"--set {key}: {index!r} does not name anything in this profile, which has {_shown(node)} there")


def _explain(fault: Any) -> str:
    location = ".".join(str(part) for part in fault["loc"]) or "profile"
    location = location if location.isprintable() else repr(location)
    match fault["type"]:
        case "extra_forbidden":
            return f"{location} is not a known key"
        case "bool_type":
            message = "input should be true or false"
        case _:
            message = fault["msg"].removeprefix("Value error, ")
    given = "" if fault["type"] in ("missing", "value_error") else f" (got {_shown(fault['input'])})"
    return f"{location}: {message[0].lower()}{message[1:]}{given}"


def _shown(value: Any) -> str:
    """The value as YAML has it, in a line that is not too long to read."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
