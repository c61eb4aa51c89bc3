"""The record of an audit event: the canonical bytes that are sealed, made from its columns by one rule.

A record holds no personal text. Names, ids of people on surfaces, and what somebody wrote stay in
the event's own columns; the record has their salted hash. So they can be erased and the chain still
holds, and whoever has only the chain cannot guess them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, cast

import orjson
import rfc8785

VERSION = 1
SALT_BYTES = 16
LARGEST_INTEGER = 2**53 - 1

Json: TypeAlias = dict[str, Any]

PERSONAL_OF_ACTOR = ("name", "external_id")
IMPERSONAL_KINDS = frozenset({"agent", "system"})
"""Actors whose name is no person's."""

PLAIN_KEYS = frozenset(
    {
        "agent",
        "charged_usd",
        "code",
        "conversation",
        "count",
        "destination",
        "digest",
        "error_code",
        "hash",
        "key",
        "memory_kind",
        "model",
        "place",
        "parked",
        "places",
        "quorums",
        "reserved_usd",
        "revision",
        "role",
        "rule",
        "tool",
    }
)
"""Texts of an event's detail that say nothing of a person. Any other text counts as personal."""


_TEXTS = (str, list, dict)
_TYPE_OF: Callable[[object], type[object]] = type


class Columns(TypedDict):
    """The columns of an event as JSON: `at` in UTC with six digits, `xid` as text, ids as text."""

    id: int
    xid: str
    at: str
    kind: str
    actor: Json
    subject: str | None
    run_id: str | None
    detail: Json


def record(columns: Columns, *, workspace: str, salt: bytes | None) -> bytes:
    """The canonical bytes (RFC 8785) of an event.

    `salt` is that of its personal text; without one the text is left out, as after an erasure.
    """
    actor, detail, personal = split(columns["actor"], columns["detail"])
    made: Json = {
        "actor": actor,
        "at": columns["at"],
        "detail": detail,
        "id": columns["id"],
        "kind": columns["kind"],
        "run_id": columns["run_id"],
        "subject": columns["subject"],
        "v": VERSION,
        "workspace": workspace,
        "xid": columns["xid"],
    }
    if personal and salt is not None:
        made["personal"] = commitment(personal, salt)
    if _is_simple(detail) and _is_simple(actor):  # the rest of a record always is
        return orjson.dumps(made, option=orjson.OPT_SORT_KEYS)
    return canonical(made)


def split(actor: Json, detail: Json) -> tuple[Json, Json, Json]:
    """An event's actor and detail without personal text, and that text by itself."""
    personal: Json = {}
    if actor.get("kind") not in IMPERSONAL_KINDS:
        theirs = {key: actor[key] for key in PERSONAL_OF_ACTOR if actor.get(key)}
        if theirs:
            personal["actor"] = theirs
            actor = {key: actor[key] for key in actor if key not in theirs}
    if not PLAIN_KEYS.issuperset(detail):
        texts: Json = {
            key: value
            for key, value in detail.items()
            if key not in PLAIN_KEYS and value and isinstance(value, _TEXTS)
        }
        if texts:
            personal["detail"] = texts
            detail = {key: detail[key] for key in detail if key not in texts}
    return actor, detail, personal


def has_personal_text(columns: Columns) -> bool:
    """True where something of the event can be erased."""
    return bool(split(columns["actor"], columns["detail"])[2])


def commitment(personal: Json, salt: bytes) -> str:
    """What the record keeps of personal text: nobody can guess the text without the salt."""
    return hashlib.sha256(salt + canonical(personal)).hexdigest()


def canonical(value: Json) -> bytes:
    """RFC 8785 JSON. What its numbers cannot hold is written as text, so that nothing fails.

    orjson with sorted keys writes the same bytes four times as fast, unless there are fractions,
    large numbers, or keys that are not ASCII.
    """
    if _is_simple(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(cast("Any", _within_bounds(value)))


def _is_simple(value: Json) -> bool:
    for key, each in value.items():
        if not key.isascii():
            return False
        # Every type of JSON is exactly one of these, and `is` is faster than isinstance.
        kind = _TYPE_OF(each)
        if kind is str or each is None or kind is bool:
            continue
        if kind is dict:
            if not _is_simple(each):
                return False
        elif kind is list:
            if not all(map(_is_simple_item, each)):
                return False
        elif kind is not int or not -LARGEST_INTEGER <= each <= LARGEST_INTEGER:
            return False
    return True


def _is_simple_item(item: object) -> bool:
    return _TYPE_OF(item) is str or _is_simple({"": item})


def _within_bounds(value: object) -> object:
    if isinstance(value, dict):
        return {key: _within_bounds(each) for key, each in cast("Json", value).items()}
    if isinstance(value, list):
        return [_within_bounds(each) for each in cast("list[object]", value)]
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return str(value)
    return value
