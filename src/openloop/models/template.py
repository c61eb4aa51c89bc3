"""Texts with places to fill in: `{tool.number}`, `{match.repo}`; `{{` and `}}` are braces."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from openloop.models.errors import BadScript

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PIECES: Final = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_PLACE: Final = re.compile(r"\{(tool|match)\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\}")


@dataclass(frozen=True, slots=True)
class Place:
    """A field of the newest tool result, or a named group of the scenario's match."""

    source: Literal["tool", "match"]
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{{{self.source}.{'.'.join(self.path)}}}"


@dataclass(frozen=True, slots=True)
class Template:
    """Pieces of text and places, in order."""

    pieces: tuple[str | Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What places are filled from. `tool_result` is the text that the model was given."""

    groups: Mapping[str, str | None]
    tool_result: str | None


def parse_template(text: str, *, groups: Sequence[str]) -> tuple[Template, list[str]]:
    """The template, and what is wrong with it. `groups` are the names that `match` may use."""
    pieces: list[str | Place] = []
    problems: list[str] = []
    for piece in _PIECES.split(text):
        if piece in ("{{", "}}"):
            pieces.append(piece[0])
        elif place := _PLACE.fullmatch(piece):
            source: Literal["tool", "match"] = "tool" if place[1] == "tool" else "match"
            path = tuple(place[2].split("."))
            if source == "match" and place[2] not in groups:
                problems.append(f"`match` has no group called {place[2]!r}")
            pieces.append(Place(source, path))
        elif piece[:1] in ("{", "}"):
            problems.append(
                f"{piece!r} is neither {{tool.FIELD}} nor {{match.GROUP}}; a brace is written twice"
            )
        elif piece:
            pieces.append(piece)
    return Template(tuple(pieces)), problems


def fill(template: Template, filling: Filling) -> str:
    """The text with every place filled. Raises BadScript where one cannot be."""
    return "".join(
        piece if isinstance(piece, str) else _as_text(_look_up(piece, filling))
        for piece in template.pieces
    )


def fill_all(value: object, filling: Filling) -> object:
    """A copy of `value`, templates inside it filled; one that is a single place keeps its type."""
    match value:
        case Template(pieces=(Place() as place,)):
            return _look_up(place, filling)
        case Template():
            return fill(value, filling)
        case dict():
            return {key: fill_all(item, filling) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case list():
            return [fill_all(item, filling) for item in value]  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case _:
            return value


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _look_up(place: Place, filling: Filling) -> object:
    if place.source == "match":
        group = filling.groups.get(place.path[0])
        if group is None:
            message = f"Nothing was matched for {place}"
            raise BadScript(message)
        return group
    if filling.tool_result is None:
        message = f"{place} is asked for, and no tool was called"
        raise BadScript(message)
    value = _first_object(filling.tool_result)
    for name in place.path:
        if not isinstance(value, dict) or name not in value:
            message = f"The newest tool result has no field for {place}"
            raise BadScript(message)
        value = value[name]  # pyright: ignore[reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]


def _first_object(text: str) -> object:
    """The first JSON object in a text: a tool result may be wrapped in words that call it data."""
    start = text.find("{")
    while start >= 0:
        try:
            return json.JSONDecoder().raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
    return None
