"""From a profile's name, or a JSON text, to a checked configuration."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gift.config.run import RunConfig
from gift.errors import GiftError

PROFILES = Path(__file__).resolve().parent.parent.parent / "profiles"


class _ProfileLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loaders silently take the last."""


def _mapping(loader: _ProfileLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    repeated = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
    if repeated is not None:
        raise yaml.constructor.ConstructorError(None, None, f"the key {repeated} is there twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_ProfileLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def profile_names() -> list[str]:
    """The names that `load_profile` takes."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name: str, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read `profiles/<name>.yaml` (or the YAML file at the path `name`) and apply `key.path=value` overrides in order.

    Raises:
        GiftError: the profile does not exist, is not YAML, or a value is not allowed (all are named in one line).
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise GiftError(f"profile {name!r} does not exist; choose one of {', '.join(profile_names())}, or a YAML file")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_ProfileLoader)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise GiftError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise GiftError(f"{path} must hold a mapping of configuration keys")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, where=str(path))


def parse_config(values: Any, where: str = "configuration") -> RunConfig:
    """Validate plain values (or a JSON text) as a `RunConfig`.

    Raises:
        GiftError: with every refused key and what it allows, in one line.
    """
    try:
        return RunConfig.model_validate_json(values) if isinstance(values, str) else RunConfig.model_validate(values)
    except ValidationError as error:
        raise GiftError(f"{where}: " + "; ".join(_explain(fault) for fault in error.errors())) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise GiftError(f"--set takes key=value, for example --set rl.steps=10; got {override!r}")
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        node = node.setdefault(parent, {}) if isinstance(node, dict) else _child_of_list(node, parent, key)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise GiftError(f"--set {key}: {text!r} is not a YAML value") from error
    if isinstance(node, dict):
        node[last] = value
    else:
        _child_of_list(node, last, key)
        node[int(last)] = value


def _child_of_list(node: Any, index: str, key: str) -> Any:
    """`evaluation.benchmarks.0.limit` reaches into a list by position."""
    if isinstance(node, list) and index.isdigit() and int(index) < len(node):
        return node[int(index)]
    raise GiftError(f"--set {key}: {index!r} does not name anything in this profile")


def _explain(fault: Any) -> str:
    location = ".".join(str(part) for part in fault["loc"]) or "profile"
    if fault["type"] == "extra_forbidden":
        return f"{location} is not a known key"
    message = fault["msg"].removeprefix("Value error, ")
    given = "" if fault["type"] in ("missing", "value_error") else f" (got {fault['input']!r})"
    return f"{location}: {message[0].lower()}{message[1:]}{given}"
