"""What the policy in force makes of a call that somebody might make."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from openloop.actions.explain import Question, explain
from openloop.api.authentication import Seeing
from openloop.api.kit import Kit
from openloop.domain.explanation import Explanation
from openloop.domain.resources import ResourceKind
from openloop.domain.tool import Effect

router = APIRouter(prefix="/api/v1/agents", tags=["agents"])

Name = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.get("/{name}/explain", operation_id="explain_agent_call")
async def explain_agent_call(
    kit: Kit,
    caller: Seeing,
    name: str,
    *,
    call: Annotated[str, Query(min_length=1, max_length=200)],
    resource: Name = None,
    kind: ResourceKind = "repo",
    effect: Effect | None = None,
    place: Name = None,
    person: Annotated[str | None, Query(alias="as", min_length=1, max_length=64)] = None,
) -> Explanation:
    """The verdict, the rule that decided it, where it is written, and what was assumed."""
    question = Question(
        permission=call,
        resource=resource,
        kind=kind,
        effect=effect,
        place=place,
        person=person,
    )
    return await explain(kit.database, caller.workspace, name, question, surfaces=kit.surfaces)
