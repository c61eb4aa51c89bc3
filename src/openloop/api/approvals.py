"""Approvals: held calls as they will run, and votes on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import StringConstraints

from openloop.actions import breaking, vote, waiting
from openloop.api.authentication import VIA, Minting, Running, Seeing, Voting, who
from openloop.api.kit import ApiKit, Kit
from openloop.api.paging import STRICT_BODY, Before, Limit, Page, Text, page_of, position
from openloop.api.reading import reader_of
from openloop.domain.approval import Approval, ApprovalState, Decision, Parked, VoteKind
from openloop.domain.approval import Vote as VoteRow
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId
from openloop.domain.surface import Actor, Card
from openloop.domain.verdict import Demand
from openloop.storage import approvals, principals, readers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openloop.domain.principal import Caller, Principal
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])

Reason = Annotated[Text, StringConstraints(max_length=2000)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteAnswer:
    """What somebody said about one round of an approval (an edit begins the next), and one attempt."""

    principal_id: PrincipalId
    name: str
    decision: VoteKind
    round: int
    attempt: int
    via: str
    voted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """A held call. `arguments` are what will run, and `hash` covers them and `preconditions`.

    Every one of `demands` has to be met by votes of this `round` and `attempt`: to try again what may
    have happened is decided anew. `parked` says why no card asks
    for it: it waits in the inbox.
    """

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
    demands: tuple[Demand, ...]
    may_edit: bool
    round: int
    attempt: int
    edited_by_name: str
    escalated: int
    parked: Parked
    votes: tuple[VoteAnswer, ...]
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
    """What a person decides. `retry` and `happened` answer an approval that is `unknown`.

    `retry` takes as many people as `approve` did; the answer is `unknown` until they have said so.

    `hash` is that of what was read; what somebody has edited cannot be decided without it.
    """

    __pydantic_config__ = STRICT_BODY

    decision: Decision
    reason: Reason = ""
    hash: Hash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArguments:
    """What is to run instead; `hash` is that of what the editor has read."""

    __pydantic_config__ = STRICT_BODY

    arguments: dict[str, Any]
    hash: Hash
    reason: Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """A reason that is told to everybody concerned."""

    __pydantic_config__ = STRICT_BODY

    reason: Annotated[Text, StringConstraints(min_length=1, max_length=2000)]


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
        reader = await reader_of(kit, tx, caller)
        if run is not None:
            found = [
                approval
                for approval in await approvals.list_of_run(tx, run, reader=reader)
                if state in (None, approval.state)
            ]
        else:
            found = await approvals.list_newest(
                tx, limit=limit, before=cursor, state=state, reader=reader
            )
        items = await _answers(tx, found)
    last = items[-1].id if items and run is None else None
    return page_of(items, limit=limit, last=last, as_of=as_of)


@router.get("/{approval_id}", operation_id="get_approval")
async def get_approval(kit: Kit, caller: Seeing, approval_id: ApprovalId) -> ApprovalAnswer:
    """One held call."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_approval(tx, await reader_of(kit, tx, caller), approval_id)
        return (await _answers(tx, [await approvals.get(tx, approval_id)]))[0]


@router.post("/{approval_id}/vote", operation_id="vote_on_approval")
async def vote_on_approval(
    kit: Kit, caller: Voting, approval_id: ApprovalId, body: Vote
) -> ApprovalAnswer:
    """Decide a held call. The call itself is made afterwards, by the run that asked for it."""
    decided = await vote.vote(
        kit.database,
        kit.configuration,
        caller.workspace,
        approval_id,
        body.decision,
        by=await _principal(kit, caller, approval_id),
        via=VIA,
        reason=body.reason,
        seen=body.hash,
        login=caller.login_id,
    )
    return await _answer(kit, caller, decided)


@router.post("/{approval_id}/edit", operation_id="edit_approval")
async def edit_approval(
    kit: Kit, caller: Voting, approval_id: ApprovalId, body: NewArguments
) -> ApprovalAnswer:
    """Let other arguments be asked about. Every vote is void; that of the editor does not count."""
    edited = await kit.edit(
        caller.workspace,
        approval_id,
        body.arguments,
        seen=body.hash,
        by=await _principal(kit, caller, approval_id),
        via=VIA,
        reason=body.reason,
    )
    return await _answer(kit, caller, edited)


@router.post("/{approval_id}/withdraw", operation_id="withdraw_approval")
async def withdraw_approval(
    kit: Kit, caller: Running, approval_id: ApprovalId, body: Why
) -> ApprovalAnswer:
    """Take an ask back: it will never run, and its run goes on without it."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_approval(tx, await reader_of(kit, tx, caller), approval_id)
    withdrawn = await waiting.withdraw(
        kit.database, caller.workspace, approval_id, by=who(caller), reason=body.reason
    )
    return await _answer(kit, caller, withdrawn)


@router.post("/{approval_id}/break-glass", operation_id="break_glass", status_code=202)
async def break_glass(
    kit: Kit, caller: Minting, approval_id: ApprovalId, body: Why
) -> ApprovalAnswer:
    """Let an owner run a held call without its quorum, within the hour; every other owner is told.

    A token only says why: the owner confirms it by a click in the thread. A fresh login through the
    identity provider is confirmation enough.
    """
    by = await _principal(kit, caller, approval_id)
    broken = await breaking.ask_to_break(
        kit.database,
        kit.configuration,
        caller.workspace,
        approval_id,
        by=by,
        via=VIA,
        reason=body.reason,
        login_id=caller.login_id,
    )
    return await _answer(kit, caller, broken)


async def _principal(kit: ApiKit, caller: Caller, approval_id: ApprovalId) -> Principal:
    """The owner of the token or login; an approval that is not there is told before anything else."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_approval(tx, await reader_of(kit, tx, caller), approval_id)
        await approvals.get(tx, approval_id)
        return await principals.get(tx, caller.principal)


async def _answer(kit: ApiKit, caller: Caller, approval: Approval) -> ApprovalAnswer:
    async with kit.database.transaction(caller.workspace) as tx:
        return (await _answers(tx, [approval]))[0]


async def _answers(tx: Transaction, found: Iterable[Approval]) -> list[ApprovalAnswer]:
    asked = list(found)
    votes = await approvals.list_votes_of(tx, [each.id for each in asked])
    people = {each.decided_by for each in asked} | {each.edited_by for each in asked}
    people |= {given.principal_id for each in votes.values() for given in each}
    names = await principals.names_of(tx, [person for person in people if person is not None])
    return [_as_answer(each, votes.get(each.id, []), names) for each in asked]


def _as_answer(
    approval: Approval, votes: list[VoteRow], names: Mapping[PrincipalId, str]
) -> ApprovalAnswer:
    return ApprovalAnswer(
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
        demands=approval.demands,
        may_edit=approval.may_edit,
        round=approval.round,
        attempt=approval.attempt,
        edited_by_name=names.get(approval.edited_by, "") if approval.edited_by else "",
        escalated=approval.escalated,
        parked=approval.parked,
        votes=tuple(
            VoteAnswer(
                principal_id=given.principal_id,
                name=names.get(given.principal_id, ""),
                decision=given.decision,
                round=given.round,
                attempt=given.attempt,
                via=given.via,
                voted_at=given.voted_at,
            )
            for given in votes
        ),
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
