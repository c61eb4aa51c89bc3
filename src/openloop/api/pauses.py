"""The brake: pausing an agent or the workspace, and resuming it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import StringConstraints

from openloop.actions import pause as brake
from openloop.api.authentication import Configuring, Seeing, who
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Name, Page, Text, position
from openloop.domain.errors import Invalid
from openloop.domain.pause import LONGEST_REASON, Pause, PauseScope
from openloop.storage import pauses

router = APIRouter(prefix="/api/v1/pauses", tags=["pauses"])

Scope = Literal["agent", "workspace"]
"""Whoever asks through the API is of one workspace, and cannot stop another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPause:
    """What to pause, and why: the reason is shown to everybody who waits."""

    __pydantic_config__ = STRICT_BODY

    scope: Scope
    agent: Name | None = None
    reason: Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_REASON)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What to resume."""

    __pydantic_config__ = STRICT_BODY

    scope: Scope
    agent: Name | None = None


@router.get("", operation_id="list_pauses")
async def list_pauses(kit: Kit, caller: Seeing) -> Page[Pause]:
    """What is paused, and why."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await pauses.list_current(tx)
    return Page(items=tuple(found), next_cursor=None, as_of=as_of)


@router.post("", operation_id="pause", status_code=201)
async def pause(kit: Kit, caller: Configuring, body: NewPause) -> Pause:
    """Pause: once this is answered nothing starts that is not on record already."""
    _check(body.scope, body.agent)
    return await brake.pause(
        kit.database,
        caller.workspace,
        scope=PauseScope(body.scope),
        agent=body.agent,
        reason=body.reason,
        by=who(caller),
    )


@router.post("/resume", operation_id="resume", status_code=204)
async def resume(kit: Kit, caller: Configuring, body: Resumption) -> None:
    """Resume: runs that waited go on where they were."""
    _check(body.scope, body.agent)
    await brake.resume(
        kit.database,
        caller.workspace,
        scope=PauseScope(body.scope),
        agent=body.agent,
        by=who(caller),
    )


def _check(scope: Scope, agent: str | None) -> None:
    if (scope == "agent") != (agent is not None):
        message = "`agent` names the agent where the scope is `agent`, and is absent otherwise"
        raise Invalid(message, problems=(message,), code="request_invalid")
