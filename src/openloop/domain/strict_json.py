"""Reading JSON from outside: what two readers could understand differently is refused.

Refused before anything is built: too many bytes, too deep. Then: invalid UTF-8, NaN and Infinity,
lone surrogates, duplicate keys, and whole numbers that do not fit into 64 bits (they would be kept
by one reader and rounded by the next).
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias

import orjson

from openloop.domain.errors import Invalid

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


class Malformed(Invalid):
    """The bytes are not strict JSON; `offset` counts bytes from 0, and is None where unknown."""

    code = "json_malformed"

    def __init__(self, code: str, message: str, *, offset: int | None = None) -> None:
        where = "" if offset is None else f" (at byte {offset})"
        super().__init__(f"{message}{where}", problems=(f"{message}{where}",), code=code)
        self.offset = offset


def loads(raw: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> JsonValue:
    """Read one JSON text.

    Raises:
        Malformed: `json_too_large`, `json_too_deep`, `json_not_utf8`, `json_syntax`,
            `json_duplicate_key` or `json_number_out_of_range`
    """
    if len(raw) > max_bytes:
        raise Malformed("json_too_large", f"The body has {len(raw)} bytes; {max_bytes} are allowed")
    # Fewer brackets than levels allowed: it cannot be too deep, and need not be looked through.
    if raw.count(b"{") + raw.count(b"[") > max_depth:
        _refuse_depth(raw, max_depth)
    try:
        orjson.loads(raw)
        text = raw.decode()
    except orjson.JSONDecodeError as error:
        raise _syntax(raw, error) from None
    if _MANY_DIGITS.search(raw):
        _refuse_large_numbers(raw)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _Duplicate as duplicate:
        offset = _second(raw, duplicate.key)
        message = f"The key {duplicate.key[:80]!r} is given twice in one object"
        raise Malformed("json_duplicate_key", message, offset=offset) from None


def load_object(
    raw: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> dict[str, JsonValue]:
    """Read a JSON text whose top level is an object.

    Raises:
        Malformed: as `loads`, and `json_not_an_object`
    """
    value = loads(raw, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise Malformed("json_not_an_object", "The top level is not an object", offset=0)
    return value


# --- the checks ----------------------------------------------------------------------------------

_MANY_DIGITS = re.compile(rb"[0-9]{19}")
# Strings are consumed whole, also where they never end, so that every scan is linear.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NUMBERS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(-?[0-9]++)(?![.eE])|-?[0-9]++[.eE][0-9.eE+-]*+')
_STRINGS = re.compile(rb'("(?:[^"\\]++|\\.)*+")(\s*+:)?|[{}]')
_LARGEST = 2**63


class _Duplicate(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return members


def _refuse_depth(raw: bytes, max_depth: int) -> None:
    depth = 0
    for token in _STRUCTURE.finditer(raw):
        match raw[token.start()]:
            case 0x5B | 0x7B:
                depth += 1
                if depth > max_depth:
                    message = f"Values are nested more than {max_depth} deep"
                    raise Malformed("json_too_deep", message, offset=token.start())
            case 0x5D | 0x7D:
                depth -= 1
            case _:
                pass


def _refuse_large_numbers(raw: bytes) -> None:
    for token in _NUMBERS.finditer(raw):
        digits = token[1]
        if digits is None:
            continue
        # int() of a long run of digits costs quadratic time, so the length is looked at first.
        if len(digits) > len(str(-_LARGEST)) or not -_LARGEST <= int(digits) < _LARGEST:
            message = "A whole number does not fit into 64 bits"
            raise Malformed("json_number_out_of_range", message, offset=token.start())


def _syntax(raw: bytes, error: orjson.JSONDecodeError) -> Malformed:
    try:
        text = raw.decode()
    except UnicodeDecodeError as undecodable:
        return Malformed("json_not_utf8", "Invalid UTF-8", offset=undecodable.start)
    offset = len(text[: error.pos].encode())
    return Malformed("json_syntax", f"This is not JSON: {error.msg}", offset=offset)


def _second(raw: bytes, key: str) -> int | None:
    """The offset of the second `key` of one object: only looked for when there is one."""
    open_objects: list[bool] = []
    for token in _STRINGS.finditer(raw):
        if token[1] is None:
            if token[0] == b"{":
                open_objects.append(False)
            elif open_objects:
                open_objects.pop()
        elif token[2] is not None and orjson.loads(token[1]) == key:
            if open_objects[-1]:
                return token.start()
            open_objects[-1] = True
    return None
