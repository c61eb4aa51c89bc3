"""The arguments of a Web API call, read as Slack reads them, and its way to say no."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, cast

from openloop.testing.rigs.slack.wire import Json

T = TypeVar("T")

_TRUE = (True, "true", "True", "1", 1)


class Refused(Exception):
    """`{"ok": false, "error": ...}`, with whatever else Slack adds to it."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error, self.more = error, more

    @classmethod
    def because(cls, error: str, *messages: str) -> "Refused":
        return cls(error, response_metadata={"messages": list(messages)})

    def as_json(self) -> Json:
        return {"ok": False, "error": self.error, **self.more}


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments by name. A form holds text only: structures in it are JSON, flags `true` or `1`."""

    values: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) and value else None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise Refused.because("invalid_arguments", f"[ERROR] missing required field: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        return self.values[name] in _TRUE if name in self else default

    def number(self, name: str, *, default: int, most: int) -> int:
        """A count from 1 to `most`; Slack lowers what is above and refuses what is no number."""
        if name not in self:
            return default
        try:
            value = int(self.values[name])
        except (TypeError, ValueError):
            raise Refused("invalid_limit" if name == "limit" else "invalid_arguments") from None
        if value < 1:
            raise Refused("invalid_limit")
        return min(value, most)

    def structure(self, name: str, *, error: str) -> Any:
        """An array or object, given as such or as JSON text; None if absent."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise Refused(error) from None

    def objects(self, name: str, *, error: str) -> list[Json]:
        """An array of objects, empty if absent."""
        value = self.structure(name, error=error)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Refused(error)
        return cast("list[Json]", value)


def json_object(body: bytes) -> Json:
    """The object a JSON body holds."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(value, dict):
        raise Refused("json_not_object")
    return cast("Json", value)


def page(
    items: Iterable[T], arguments: Arguments, *, default: int, most: int
) -> tuple[list[T], str]:
    """One page of a collection and the cursor of the next one (empty on the last)."""
    limit = arguments.number("limit", default=default, most=most)
    start = _offset(arguments.text("cursor"))
    found = list(islice(items, start, start + limit + 1))
    return found[:limit], _cursor(start + limit) if len(found) > limit else ""


def _cursor(offset: int) -> str:
    return base64.b64encode(f"offset:{offset}".encode()).decode()


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("offset:"))
    except (binascii.Error, ValueError):
        raise Refused("invalid_cursor") from None
