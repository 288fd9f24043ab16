"""YAML that people write, as plain values: what looks like a number is one, or stays the text that it is.

Scalars are YAML 1.2's (core schema), written plainly: true and false, null, `10`, `-1.5`, `3e-6`, `.inf`. Whatever one
version of YAML takes for a number and another does not is a text, which a schema that asks for a number refuses: `on`,
`1:30`, `012`, `0x10`, `0o14`, `1_000`, `2026-01-01`. Merge keys (`<<`) are those of YAML 1.1; a key beside one wins.

Left out: several documents, tags of other types, keys that are no text, and control characters, even as escapes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gift.errors import GiftError
from gift.host.small_file import read_small_text

DEEPEST = 50
LONGEST = 200_000
"""Characters and values, once every alias is written out."""
LONGEST_COMPILED = 3 * 2**19
"""Of a compiled pipeline: etcd refuses more than 1.5 MiB."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_SCALARS = {  # in the order in which they are tried; Python converts no whole number of more than 4300 digits
    f"{_TAG}null": r"null|Null|NULL|~|",
    f"{_TAG}bool": r"true|True|TRUE|false|False|FALSE",
    f"{_TAG}int": r"[-+]?(0|[1-9][0-9]{0,99})",
    f"{_TAG}float": r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    _MERGE: r"<<",
}
_NOT_A_TEXTS = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Control characters, YAML 1.1's own line breaks, and halves of surrogate pairs."""


class _Refusal(yaml.MarkedYAMLError):
    """YAML, but not for us."""


def read_yaml(path: Path) -> Any:
    """The values of a file, which may begin with a byte order mark.

    Raises:
        GiftError: it can't be read, is not UTF-8, or is refused by `parse_yaml`.
    """
    return parse_yaml(read_small_text(path), where=str(path))


def parse_yaml(text: str, where: str, *, comments: bool = True) -> Any:
    """The values of a text; an alias gives values of its own, so that a change of one leaves the other as it is.

    Args:
        where: what the text is, for the error.
        comments: whether one may follow the value. On a command line, `#3` at the end is no comment.

    Raises:
        GiftError: the text is not YAML, or not what the module's docstring says.
    """
    _refuse_characters(text, where)
    with _faults(where):
        node = yaml.compose(text, Loader=_Loader)
        if not comments and text[node.end_mark.index if node else 0 :].strip():
            raise GiftError(f"{where}: what follows # would be a comment; put the value in quotes")
        return _Values().of(node) if node else None


def parse_compiled(text: str, where: str) -> list[Any]:
    """The documents of what a program wrote: larger than what people write, and with any character as an escape.

    Raises:
        GiftError: as `parse_yaml`.
    """
    if len(text) > LONGEST_COMPILED:
        raise GiftError(f"{where} is longer than {LONGEST_COMPILED} characters")
    with _faults(where):
        values = _Values(LONGEST_COMPILED, any_character=True)
        return [values.of(node) for node in yaml.compose_all(text, Loader=_Loader) if node]


@contextmanager
def _faults(where: str) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        says = "" if isinstance(error, _Refusal) else " is not YAML"
        raise GiftError(f"{where}{says}: {_in_one_line(error)}") from None
    except yaml.reader.ReaderError as error:
        raise GiftError(f"{where} is not YAML: {error.reason}, character {error.position + 1}") from None
    except (ValueError, OverflowError) as error:  # PyYAML's own, of an escape such as "\UFFFFFFFF"
        raise GiftError(f"{where} is not YAML: {error}") from None


class _Loader(yaml.SafeLoader):
    """Makes nodes, whose scalars have the tags of `_SCALARS`."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (replaces those of YAML 1.1)
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if parent and self._depth > DEEPEST:
            raise _refused(parent, f"more than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), None)


class _Values:
    """The plain values of nodes, and how much they are."""

    def __init__(self, longest: int = LONGEST, *, any_character: bool = False) -> None:
        self._length = 0
        self._longest = longest
        self._any_character = any_character

    def of(self, node: yaml.Node, depth: int = 1) -> Any:
        if depth > DEEPEST:
            raise _refused(node, f"more than {DEEPEST} levels, or a value inside itself")
        self._length += 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if self._length > self._longest:
            raise _refused(node, f"more than {self._longest} characters and values, counting every alias")
        match node:
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node, depth)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                return [self.of(child, depth + 1) for child in node.value]
            case yaml.ScalarNode():
                return node.value if self._any_character and node.tag == f"{_TAG}str" else _scalar(node)
        raise _refused(node, f"the tag {node.tag} is not known here")

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        values: dict[str, Any] = {}
        names: set[str] = set()
        for key, child in node.value:
            name = _name(key)
            if name in names:
                raise _refused(key, f"the key {name} is there twice")
            names.add(name)
            if key.tag == _MERGE:
                defaults = self._merged(child, depth)
            else:
                values[name] = self.of(child, depth + 1)
        return defaults | values

    def _merged(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        """What `<<` brings: a mapping, or several, of which the first that has a key decides."""
        found = self.of(node, depth + 1)
        mappings = found if isinstance(found, list) else [found]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise _refused(node, "<< takes a mapping or a list of mappings")
        merged: dict[str, Any] = {}
        for mapping in reversed(mappings):
            merged |= mapping
        return merged


def _name(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        raise _refused(key, "a list or a mapping is no key")
    if key.tag not in (f"{_TAG}str", _MERGE):
        raise _refused(key, f"the key {key.value or 'null'} is not a text; put it in quotes")
    return _text(key)


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag in _SCALARS and not re.fullmatch(_SCALARS[node.tag], node.value):
        raise _refused(node, f"{node.value} is not what its tag {node.tag} says")
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return int(node.value)
        case "float":
            return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
        case "str" | "merge":
            return _text(node)
    raise _refused(node, f"the tag {node.tag} is not known here")


def _text(node: yaml.ScalarNode) -> str:
    if found := _NOT_A_TEXTS.search(node.value):
        raise _refused(node, f"the character U+{ord(found[0]):04X} in a text")
    return str(node.value)


def _refuse_characters(text: str, where: str) -> None:
    if len(text) > LONGEST:
        raise GiftError(f"{where} is longer than {LONGEST} characters")
    if found := _NOT_A_TEXTS.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise GiftError(f"{where} is not YAML: the character U+{ord(found[0]):04X}, line {line}")


def _refused(node: yaml.Node, problem: str) -> _Refusal:
    return _Refusal(problem=problem, problem_mark=node.start_mark)


def _in_one_line(error: yaml.MarkedYAMLError) -> str:
    says = " ".join(f"{error.context or ''} {error.problem or ''}".split())
    mark = error.problem_mark or error.context_mark
    return f"{says}, line {mark.line + 1}, column {mark.column + 1}" if mark else says
