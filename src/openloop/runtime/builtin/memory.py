"""The memory toolset: what an agent may remember and look up by itself.

It is declared like any other toolset, but its calls are carried out by the turn, since they write
our own rows in the scope of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.surface import Card
from openloop.domain.tool import Effect, ToolResult
from openloop.plugin import Tool, Toolset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Finding
    from openloop.domain.tool import Arguments, CallContext

NAME = "memory"
NOTE = "memory__note"
SEARCH = "memory__search"

_NOTE_PARAMETERS = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["decision", "fact", "preference"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 2000},
    },
    "required": ["kind", "text"],
}
_SEARCH_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": 500}},
    "required": ["query"],
}


async def _by_the_turn(arguments: Arguments, context: CallContext) -> ToolResult:
    raise AssertionError("memory calls are carried out by the turn")


def _card(arguments: Arguments) -> Card:
    return Card(title="Remember", body=str(arguments.get("text", "")))


async def _check() -> Sequence[Finding]:
    return ()


async def _aclose() -> None:
    return None


def memory_toolset() -> Toolset:
    """`note` saves something for this channel, `search` looks up what was saved."""
    note = Tool(
        name="note",
        description=(
            "Save one decision, fact or preference of this channel for later, in a full sentence "
            "that can be understood without the thread. People see it and can undo it."
        ),
        parameters=_NOTE_PARAMETERS,
        permission="memory:note",
        effect=Effect.NOTE,
        call=_by_the_turn,
        render=_card,
    )
    search = Tool(
        name="search",
        description="Search what was saved in this channel before.",
        parameters=_SEARCH_PARAMETERS,
        permission="memory:read",
        effect=Effect.READ,
        call=_by_the_turn,
        render=_card,
    )
    return Toolset(name=NAME, tools=(note, search), check=_check, aclose=_aclose)
