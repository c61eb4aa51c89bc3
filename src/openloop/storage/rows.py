"""Rows become domain values here, and nowhere else.

psycopg's `class_row` leaves enum and nested fields as plain strings and dicts, and no type checker
sees it; a pydantic `TypeAdapter` costs about a microsecond a row and refuses what does not fit.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncCursor
    from psycopg.rows import AsyncRowFactory

T = TypeVar("T")


# In what orjson writes, an odd number of backslashes before u0000 is the character itself.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def dumps(value: object) -> bytes:
    """JSON without NUL characters, which Postgres takes in no text."""
    written = orjson.dumps(value, default=str)
    return _NUL.sub(rb"\1", written) if b"\\u0000" in written else written


set_json_dumps(dumps)
set_json_loads(orjson.loads)


@cache
def adapter(kind: type[T]) -> TypeAdapter[T]:
    """The validator of a type, made once."""
    return TypeAdapter(kind)


def of(kind: type[T]) -> AsyncRowFactory[T]:
    """A row factory that reads columns by name into the frozen dataclass `kind`."""
    validate = adapter(kind).validate_python

    def factory(cursor: AsyncCursor[Any]) -> Callable[[Sequence[Any]], T]:
        names = [column.name for column in cursor.description or ()]

        def make(values: Sequence[Any]) -> T:
            return validate(dict(zip(names, values, strict=True)))

        return make

    return factory


def json(value: object) -> Jsonb:
    """A parameter for a jsonb column: dataclasses, mappings, lists, UUIDs and times are all taken."""
    return Jsonb(value)
