"""What strict_json promises: one meaning or a refusal, and never a long wait."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.domain import strict_json
from openloop.domain.strict_json import JsonValue, Malformed

SLOWEST_SECONDS = 2.0  # CPU; the largest refused input takes about 0.2 s on an idle machine


def refusal(raw: bytes, **limits: int) -> tuple[str, int | None]:
    with pytest.raises(Malformed) as caught:
        strict_json.loads(raw, **limits)
    return caught.value.code, caught.value.offset


@pytest.mark.parametrize(
    ("raw", "code", "offset"),
    [
        (b"", "json_syntax", 0),
        (b"{", "json_syntax", 1),
        (b'{"a": 1,}', "json_syntax", 7),
        (b"{'a': 1}", "json_syntax", 1),
        (b"{} {}", "json_syntax", 3),
        (b'{"a": NaN}', "json_syntax", 6),
        (b"[Infinity]", "json_syntax", 1),
        (b"[-Infinity]", "json_syntax", 2),
        (b"[1e400]", "json_syntax", 1),
        (b"[01]", "json_syntax", 1),
        (b'["\x01"]', "json_syntax", 2),
        (b'["\\ud800"]', "json_syntax", 2),
        (b"\xef\xbb\xbf{}", "json_syntax", 0),
        (b'{"a": "\xff"}', "json_not_utf8", 7),
        (b'{"a": "\xc0\xaf"}', "json_not_utf8", 7),
        (b'{"a": "\xed\xa0\x80"}', "json_not_utf8", 7),
        (b'{"a": 1, "a": 2}', "json_duplicate_key", 9),
        (b'{"a": 1, "\\u0061": 2}', "json_duplicate_key", 9),
        (b'[{"a": 1}, {"a": {"b": 1, "c": 2, "b": 3}}]', "json_duplicate_key", 34),
        (b'{"a": "a", "b": {"a": 1}, "a": 2}', "json_duplicate_key", 26),
        (b"[9223372036854775808]", "json_number_out_of_range", 1),
        (b"[-9223372036854775809]", "json_number_out_of_range", 1),
        (b'{"a": "9223372036854775808", "b": 123456789012345678901}',
         "json_number_out_of_range", 34),
    ],
)  # fmt: skip
def test_what_has_two_readings_or_none_is_refused_with_its_place(
    raw: bytes, code: str, offset: int
) -> None:
    assert refusal(raw) == (code, offset)


def test_offsets_count_bytes_also_after_wide_characters() -> None:
    assert refusal('{"ключ": nope}'.encode()) == ("json_syntax", len('{"ключ": '.encode()))


def test_depth_64_is_read_and_depth_65_is_not() -> None:
    assert strict_json.loads(b"[" * 64 + b"]" * 64)
    assert refusal(b"[" * 65 + b"]" * 65) == ("json_too_deep", 64)
    assert refusal(b'{"a":' * 65 + b"1" + b"}" * 65) == ("json_too_deep", 64 * 5)


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    body: dict[str, JsonValue] = {
        "text": '[[{{"[' * 200,
        "list": [[] for _ in range(200)],
        "quote": '\\"[',
    }
    assert strict_json.loads(json.dumps(body).encode()) == body


def test_numbers_up_to_64_bits_are_kept_exactly() -> None:
    raw = b"[9223372036854775807, -9223372036854775808, 0, 1234567890123456789012.5, 1e20]"
    assert strict_json.loads(raw) == [2**63 - 1, -(2**63), 0, 1234567890123456789012.5, 1e20]


def test_size_is_looked_at_before_anything_else() -> None:
    assert refusal(b"x" * (1024 * 1024 + 1)) == ("json_too_large", None)
    assert refusal(b'{"a": 1}', max_bytes=7) == ("json_too_large", None)


def test_an_object_may_be_asked_for() -> None:
    assert strict_json.load_object(b'{"a": [1, null, true, "x"]}') == {"a": [1, None, True, "x"]}
    with pytest.raises(Malformed) as caught:
        strict_json.load_object(b"[]")
    assert caught.value.code == "json_not_an_object"


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 200_000,
        b'"' * 1_000_000,
        b'"' + b'\\"' * 500_000,
        b"[{" * 40 + b'"' + b'\\"' * 500_000,
        b"1" * 1_000_000,
        b"[" + b"1" * 1_000_000 + b"]",
        b"-" * 1_000_000,
        b"[1e" + b"9" * 1_000_000 + b"]",
        b'{"a"' + b" " * 500_000 + b':1,"a":2}',
        b"{" + b",".join(b'"k%d":1' % n for n in range(90_000)) + b',"k1":2}',
    ],
    ids=lambda raw: raw[:12].decode(),
)
def test_hostile_bodies_are_refused_quickly(raw: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Malformed):
        strict_json.loads(raw)
    assert time.process_time() - started < SLOWEST_SECONDS


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(
    allow_nan=False, allow_infinity=False
)  # fmt: skip
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(values)
def test_every_ordinary_value_comes_back(value: JsonValue) -> None:
    for ascii_only in (True, False):
        assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\u0d8e19.-+ \n', max_size=60).map(str.encode))
def test_any_bytes_are_read_as_json_reads_them_or_refused(raw: bytes) -> None:
    try:
        value = strict_json.loads(raw)
    except Malformed:
        return
    assert value == json.loads(raw, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise AssertionError(name)
