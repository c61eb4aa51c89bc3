"""Approvals: held calls as they will run, and votes on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import StringConstraints

from openloop.actions import vote
from openloop.api.authentication import VIA, Seeing, Voting
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Before, Limit, Page, Text, page_of, position
from openloop.domain.approval import Approval, ApprovalState, Decision
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId
from openloop.domain.surface import Actor, Card
from openloop.storage import approvals, principals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """A held call. `arguments` are what will run, and `hash` covers them and `preconditions`."""

    id: ApprovalId
    run_id: RunId
    step_seq: int
    conversation_id: ConversationId
    tool: str
    permission: str
    arguments: dict[str, Any]
    preconditions: dict[str, Any]
    hash: str
    card: Card
    requested_by: Actor
    approvers: tuple[str, ...]
    solo_mode: bool
    rule: str
    state: ApprovalState
    asked_at: datetime
    expires_at: datetime
    decided_by: PrincipalId | None
    decided_by_name: str
    decided_at: datetime | None
    reason: str
    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a person decides. `retry` and `happened` answer an approval that is `unknown`."""

    __pydantic_config__ = STRICT_BODY

    decision: Decision
    reason: Annotated[Text, StringConstraints(max_length=2000)] = ""


@router.get("", operation_id="list_approvals")
async def list_approvals(
    kit: Kit,
    caller: Seeing,
    *,
    limit: Limit = 50,
    cursor: Before = None,
    state: ApprovalState | None = None,
    run: Annotated[RunId | None, Query(description="The approvals of one run.")] = None,
) -> Page[ApprovalAnswer]:
    """The newest first; of one run, all of them."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        if run is not None:
            found = [
                approval
                for approval in await approvals.list_of_run(tx, run)
                if state in (None, approval.state)
            ]
        else:
            found = await approvals.list_newest(tx, limit=limit, before=cursor, state=state)
        items = await _answers(tx, found)
    last = items[-1].id if items and run is None else None
    return page_of(items, limit=limit, last=last, as_of=as_of)


@router.get("/{approval_id}", operation_id="get_approval")
async def get_approval(kit: Kit, caller: Seeing, approval_id: ApprovalId) -> ApprovalAnswer:
    """One held call."""
    async with kit.database.transaction(caller.workspace) as tx:
        return (await _answers(tx, [await approvals.get(tx, approval_id)]))[0]


@router.post("/{approval_id}/vote", operation_id="vote_on_approval")
async def vote_on_approval(
    kit: Kit, caller: Voting, approval_id: ApprovalId, body: Vote
) -> ApprovalAnswer:
    """Decide a held call. The call itself is made afterwards, by the run that asked for it."""
    async with kit.database.transaction(caller.workspace) as tx:
        await approvals.get(tx, approval_id)
        principal = await principals.get(tx, caller.principal)
    decided = await vote.vote(
        kit.database,
        kit.configuration,
        caller.workspace,
        approval_id,
        body.decision,
        by=principal,
        via=VIA,
        reason=body.reason,
    )
    async with kit.database.transaction(caller.workspace) as tx:
        return (await _answers(tx, [decided]))[0]


async def _answers(tx: Transaction, found: Iterable[Approval]) -> list[ApprovalAnswer]:
    asked = list(found)
    names: dict[PrincipalId, str] = {}
    for principal_id in {a.decided_by for a in asked if a.decided_by is not None}:
        names[principal_id] = (await principals.get(tx, principal_id)).name
    return [
        ApprovalAnswer(
            id=approval.id,
            run_id=approval.run_id,
            step_seq=approval.step_seq,
            conversation_id=approval.conversation_id,
            tool=approval.tool,
            permission=approval.permission,
            arguments=orjson.loads(approval.arguments),
            preconditions=approval.preconditions,
            hash=approval.hash,
            card=approval.card,
            requested_by=approval.requested_by,
            approvers=approval.approvers,
            solo_mode=approval.solo_mode,
            rule=approval.rule,
            state=approval.state,
            asked_at=approval.asked_at,
            expires_at=approval.expires_at,
            decided_by=approval.decided_by,
            decided_by_name=names.get(approval.decided_by, "") if approval.decided_by else "",
            decided_at=approval.decided_at,
            reason=approval.reason,
            result=approval.result,
        )
        for approval in asked
    ]
