"""YAML as people write it: nothing becomes another value in silence, and nothing hangs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift.config.yaml_text import parse_yaml, read_yaml
from gift.errors import GiftError


def refusal(text: str) -> str:
    with pytest.raises(GiftError) as error:
        parse_yaml(text, where="own.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("text", ["on", "off", "yes", "No", "y", "1:30", "190:20:30.15", "2026-01-01", "=", "tRUE"])
@pytest.mark.parametrize("what", ["{}", "key: {}", "[{}]"])
def test_what_is_no_value_of_yaml_1_2_stays_the_text_that_it_is(text: str, what: str) -> None:
    found = parse_yaml(what.format(text), where="own.yaml")
    assert found in (text, {"key": text}, [text])


@pytest.mark.parametrize("text", ["012", "00", "-07", "01.5", "0o14", "0x10", "0b11", "1_000", "1_0.5", "1,000"])
def test_a_number_that_versions_of_yaml_read_differently_is_a_text(text: str) -> None:
    assert parse_yaml(text, where="own.yaml") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("+5", 5),
        ("-3", -3),
        ("0", 0),
        ("3e-6", 3e-6),
        ("1e6", 1e6),
        ("1E+3", 1e3),
        ("1.5e-4", 1.5e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -float("inf")),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'10'", "10"),
        ('"true"', "true"),
        ("!!str 10", "10"),
        ('!!int "10"', 10),
    ],
)
def test_a_value_of_yaml_1_2_is_what_it_looks_like(text: str, value: Any) -> None:
    found = parse_yaml(text, where="own.yaml")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\na: 3",
        "x:\n  y: {a: 1, b: 2, a: 1}",
        "[{a: 1, 'a': 2}]",
        "a: {<<: {b: {a: 1, a: 2}}}",
        "&x a: 1\n*x : 2",
    ],
)
def test_a_key_that_is_there_twice_is_refused_at_any_depth(text: str) -> None:
    assert "own.yaml: the key a is there twice, line" in refusal(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{<<: *d}", {"a": 1, "b": 2}),
        ("{<<: *d, b: 3}", {"a": 1, "b": 3}),
        ("{b: 3, <<: *d}", {"a": 1, "b": 3}),
        ("{<<: [{b: 5, c: 6}, *d]}", {"a": 1, "b": 5, "c": 6}),
        ("{<<: {<<: *d, b: 7}, c: 8}", {"a": 1, "b": 7, "c": 8}),
        ("{<<: []}", {}),
        ("{'<<': *d}", {"<<": {"a": 1, "b": 2}}),
    ],
)
def test_a_merge_key_brings_what_the_mapping_does_not_say_itself(text: str, value: Any) -> None:
    assert parse_yaml(f"d: &d {{a: 1, b: 2}}\nx: {text}", where="own.yaml")["x"] == value


def test_what_an_alias_names_is_not_shared() -> None:
    values = parse_yaml("a: &a {x: [1]}\nb: *a", where="own.yaml")
    values["b"]["x"].append(2)
    assert values == {"a": {"x": [1]}, "b": {"x": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{<<: {a: 1}, <<: {b: 1}}", "the key << is there twice"),
        ("{<<: 1}", "<< takes a mapping or a list of mappings"),
        ("{<<: [{a: 1}, b]}", "<< takes a mapping or a list of mappings"),
        ("1: x", "the key 1 is not a text; put it in quotes"),
        ("null: x", "the key null is not a text; put it in quotes"),
        ("? \n: x", "the key null is not a text; put it in quotes"),
        ("true: x", "the key true is not a text; put it in quotes"),
        ("[a]: b", "a list or a mapping is no key"),
        ("!!python/object/apply:os.system [ls]", "python/object/apply:os.system is not known here"),
        ("a: !foo x", "the tag !foo is not known here, line 1, column 4"),
        ("!!set {a, b}", "tag:yaml.org,2002:set is not known here"),
        ("!!timestamp 2026-01-01", "tag:yaml.org,2002:timestamp is not known here"),
        ("!!int abc", "abc is not what its tag"),
        ("a:\n\tb: 1", "is not YAML: while scanning for the next token found character '\\t'"),
        ("a: [", "is not YAML: while parsing a flow node expected the node content"),
        ("a: *b", "is not YAML: found undefined alias 'b', line 1"),
        ("--- a\n--- b", "expected a single document"),
        ("a: 1\nb: \x1b[31m", "the character U+001B, line 2"),
        ("a: b\x85c", "the character U+0085, line 1"),
        (r'a: "\0"', "the character U+0000 in a text, line 1"),
        (r'a: "\ud800"', "the character U+D800 in a text"),
        ("a: \udcff", "the character U+DCFF, line 1"),
        (r'"\UFFFFFFFF"', "is not YAML"),
    ],
)
def test_what_no_profile_can_hold_is_one_line(text: str, message: str) -> None:
    assert message in refusal(text)


MANY = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 40))
LONG = f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 20_000}]"
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("&a {x: *a}", "a value inside itself"),
        ("&a [*a, *a]", "a value inside itself"),
        ("&a {<<: *a}", "a value inside itself"),
        (CHAIN, "more than 50 levels"),
        ("[" * 100_000, "more than 50 levels"),
        ("{a: " * 40_000, "more than 50 levels"),
        ("- " * 90_000, "more than 50 levels"),
        (MANY, "more than 200000 characters and values, counting every alias"),
        (LONG, "more than 200000 characters and values, counting every alias"),
        ("#" * 300_000, "own.yaml is longer than 200000 characters"),
        (f"a: {'1' * 5000}\nb: [", "is not YAML"),
    ],
    ids=["mapping", "list", "merge", "chain", "brackets", "braces", "dashes", "many", "long", "comment", "digits"],
)
def test_what_would_never_end_is_one_line_at_once(text: str, message: str) -> None:
    assert message in refusal(text)


@given(text=st.text(alphabet=st.sampled_from("ab1.:-?,[]{}&*!|>'\"%@`#\\ \n\t<=~x0U_e+\ufeff\x85\x00"), max_size=40))
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    try:
        parse_yaml(text, where="own.yaml")
    except GiftError as error:
        assert "\n" not in str(error)  # noqa: PT017 (most texts raise nothing)


def test_a_value_of_the_command_line_loses_nothing_after_a_hash() -> None:
    assert parse_yaml("'Run #3'", where="x", comments=False) == "Run #3"
    for text in ("Run #3", "# 3", "{a: 1} # b"):
        with pytest.raises(GiftError, match="x: what follows # would be a comment; put the value in quotes"):
            parse_yaml(text, where="x", comments=False)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes("description: Größe\n".encode(encoding))
    with pytest.raises(GiftError, match=r"own\.yaml is not text in UTF-8; save it as UTF-8$"):
        read_yaml(path)


def test_a_file_of_windows_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + "description: Größe\r\nprompt: |\r\n  a\r\n  b\r\n".encode())
    assert read_yaml(path) == {"description": "Größe", "prompt": "a\nb\n"}


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, reason in (
        ("folder.yaml", "it is no regular file"),
        ("loop.yaml", "Too many levels of symbolic links"),
        ("missing.yaml", "No such file or directory"),
        (f"{'a' * 300}.yaml", "File name too long"),
    ):
        with pytest.raises(GiftError, match=f"{name} can't be read: {reason}"):
            read_yaml(tmp_path / name)
