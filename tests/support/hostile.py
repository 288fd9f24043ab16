"""Bytes that users' files may hold: anything, values that break readers, and both in the place of something good."""

import gzip
import json
import os
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

BUDGET = int(os.environ.get("GIFT_FUZZ_EXAMPLES", "0"))
"""Examples per reader by hand; CI has few, and the same each time."""

MARK = "\ufffcmark\ufffc"
JSON_VALUES = (
    *(
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "-0.0",
        "NaN",
        "-Infinity",
        "1.5",
        "1e-400",
        "9" * 20,
        "1" * 5000,
        "[]",
        "{}",
    ),
    *(
        '""',
        '"x"',
        r'"\ud800"',
        r'"\u0000"',
        r'"\u001b[31m"',
        r'"a\nb"',
        '"²"',
        '"../../etc/passwd"',
        '"' + "x" * 10_000,
    ),
    *(
        "[" * 3000,
        '{"a":' * 3000,
        "[" * 300 + "]" * 300,
        '{"a": 1, "a": 2}',
        "[[], {}, null]",
        '["x", 1]',
        '"' + "é" * 99 + '"',
    ),
)
YAML_VALUES = (
    *(
        "*a",
        "&a [*a]",
        "&a {<<: *a}",
        "<<: 3",
        "!!python/object/apply:os.system [x]",
        "!!binary x",
        "!!float x",
        "!!int x",
    ),
    *(
        "2026-13-45",
        "%YAML 9.9",
        "---",
        "...",
        r'"\UFFFFFFFF"',
        r'"\ud800"',
        "|",
        ">-",
        "? [a]\n: b",
        "\t- x",
        "{",
        "'",
        "@",
    ),
    *("&a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b, *b, *b]", "0x10", "1:30", "~", ".inf", "\x85", "\u2028", "\ufeff"),
)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
_raw = st.sampled_from(JSON_VALUES) | _json.map(json.dumps)


def fuzz(examples: int) -> settings:
    """How often a reader is tried, and how soon it must end."""
    return settings(
        max_examples=BUDGET or examples,
        derandomize=not BUDGET,
        database=None,
        deadline=timedelta(seconds=10),
        suppress_health_check=list(HealthCheck),
    )


def hostile_json(seed: Any) -> st.SearchStrategy[bytes]:
    """JSON in which one value, or one key, of `seed` is another; also no JSON at all."""
    places = list(_places(seed))
    changed = st.builds(_with, st.just(seed), st.sampled_from(places), _raw)
    return st.one_of(changed, changed, _raw.map(_encoded), _damaged(json.dumps(seed).encode()))


def hostile_rows(seed: Any) -> st.SearchStrategy[bytes]:
    """JSON Lines."""
    return st.lists(hostile_json(seed), min_size=1, max_size=3).map(b"\n".join)


def hostile_gzip(seed: Any) -> st.SearchStrategy[bytes]:
    """The same packed, whole and damaged."""
    packed = hostile_rows(seed).map(gzip.compress)
    return packed | packed.flatmap(_damaged)


def hostile_yaml(text: str) -> st.SearchStrategy[bytes]:
    """YAML in which one line of `text` ends otherwise, or is another; also no YAML at all."""
    lines = text.splitlines()

    def put(number: int, value: str, *, keep_key: bool) -> bytes:
        key = lines[number].partition(":")[0] + ": " if keep_key else ""
        return _encoded("\n".join([*lines[:number], key + value, *lines[number + 1 :]]))

    value = st.sampled_from(YAML_VALUES) | _raw
    changed = st.builds(put, st.integers(0, len(lines) - 1), value, keep_key=st.booleans())
    return st.one_of(changed, changed, value.map(_encoded), _damaged(text.encode()))


def hostile_text(seeds: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Text of a command line or a name."""
    pieces = st.sampled_from(
        (*seeds, *YAML_VALUES, *JSON_VALUES, ".", "=", ":", "²", "0", "-1", "/", "*", " ", "__main__")
    )
    return st.lists(pieces | st.text(max_size=5), min_size=1, max_size=5).map("".join)


def _damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Cut short, with foreign bytes in it, twice, in another encoding; or any bytes."""
    place = st.integers(0, len(content))
    return st.one_of(
        st.binary(max_size=50),
        place.map(lambda end: content[:end]),
        st.builds(lambda start, end, new: content[:start] + new + content[end:], place, place, st.binary(max_size=9)),
        st.sampled_from(
            (b"", content * 2, content.decode(errors="ignore").encode("utf-16"), b"\xef\xbb\xbf" + content)
        ),
    )


def _with(seed: Any, place: tuple[Any, ...], raw: str) -> bytes:
    return _encoded(json.dumps(_replaced(seed, place)).replace(json.dumps(MARK), raw))


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _places(value: Any, above: tuple[Any, ...] = ()) -> Any:
    yield above
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(entries)[:20]:
        yield from _places(child, (*above, key))


def _replaced(value: Any, place: tuple[Any, ...]) -> Any:
    if not place:
        return MARK
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = _replaced(value[key], tuple(rest))
    return copy
