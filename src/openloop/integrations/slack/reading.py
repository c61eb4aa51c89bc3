"""Reading JSON of a platform without trusting its shape: a wrong type reads as nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

Json = Mapping[str, object]

_NOTHING: Json = {}


def mapping_at(value: object, *path: str) -> Json:
    """The object at `path`, or an empty one."""
    for name in path:
        value = _as_mapping(value).get(name)
    return _as_mapping(value)


def text_at(value: object, *path: str) -> str:
    """The string at `path`, or an empty one."""
    found = mapping_at(value, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def flag_at(value: object, *path: str) -> bool:
    """Whether `path` holds exactly true."""
    return mapping_at(value, *path[:-1]).get(path[-1]) is True


def items_at(value: object, *path: str) -> tuple[Json, ...]:
    """The objects of the array at `path`; what is no object is left out."""
    found = mapping_at(value, *path[:-1]).get(path[-1])
    if not isinstance(found, list):
        return ()
    items = cast("list[object]", found)
    return tuple(cast("Json", item) for item in items if isinstance(item, dict))


def texts_at(value: object, *path: str) -> tuple[str, ...]:
    """The strings of the array at `path`; what is no string is left out."""
    found = mapping_at(value, *path[:-1]).get(path[-1])
    items = cast("list[object]", found) if isinstance(found, list) else []
    return tuple(item for item in items if isinstance(item, str))


def _as_mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else _NOTHING
