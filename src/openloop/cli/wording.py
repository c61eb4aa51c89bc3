"""People and steps of runs, told in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openloop.cli.output import json_line, value
from openloop.cli.text import clean, one_line, shorten, when

if TYPE_CHECKING:
    from openloop.cli.output import Json

_LINE: Final = 160


def who(actor: Any) -> str:
    """Whoever did something, as a person would be called."""
    return one_line(actor.get("name") or actor.get("id") or actor.get("external_id") or "")


def step_line(step: Json) -> str:
    """A step in one line."""
    at = when(step["finished_at"] or step["started_at"])
    name = f"{step['kind']} {step['name']}".strip()
    line = f"{at}  {step['seq']:>3}  {step['state']:<8}  {name}  {_said(step)}".rstrip()
    return shorten(one_line_keeping_gaps(line), _LINE)


def one_line_keeping_gaps(text: str) -> str:
    """Clean text in one line, with its columns."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def _said(step: Json) -> str:
    """The most telling thing of a step: what was said, called or refused."""
    shown = step["output"] if step["state"] == "finished" else step["input"]
    for key in ("text", "error", "refused", "content", "arguments"):
        found = value(shown or {}, key)
        if found:
            return one_line(found if isinstance(found, str) else json_line(found))
    return step["rule"]
