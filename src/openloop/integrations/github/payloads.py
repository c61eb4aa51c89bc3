"""Reading a payload of GitHub without trusting its shape: a wrong type reads as nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

Json = Mapping[str, object]

_NOTHING: Json = {}
_LARGEST_ID = 2**63


def part_at(payload: object, *path: str) -> Json:
    """The object at `path`, or an empty one."""
    for name in path:
        payload = _as_mapping(payload).get(name)
    return _as_mapping(payload)


def text_at(payload: object, *path: str) -> str:
    """The string at `path`, or an empty one."""
    found = part_at(payload, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def id_at(payload: object, *path: str) -> int:
    """The positive whole number at `path`, or 0: an id or the number of an issue."""
    found = part_at(payload, *path[:-1]).get(path[-1])
    return found if type(found) is int and 0 < found < _LARGEST_ID else 0


def flag_at(payload: object, *path: str) -> bool:
    """Whether `path` holds exactly true."""
    return part_at(payload, *path[:-1]).get(path[-1]) is True


def is_given(payload: object, *path: str) -> bool:
    """Whether there is anything but null at `path`."""
    return part_at(payload, *path[:-1]).get(path[-1]) is not None


def parts_at(payload: object, *path: str) -> tuple[Json, ...]:
    """The objects of the array at `path`; what is no object is left out."""
    found = part_at(payload, *path[:-1]).get(path[-1])
    if not isinstance(found, list):
        return ()
    items = cast("list[object]", found)
    return tuple(cast("Json", item) for item in items if isinstance(item, dict))


def moment_at(payload: object, *path: str) -> datetime | None:
    """The time at `path`, in UTC; None where there is none."""
    try:
        found = datetime.fromisoformat(text_at(payload, *path))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def _as_mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else _NOTHING
