"""Changes of the configuration that widen rights, and deciding them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import StringConstraints

from openloop.actions import changes as deciding
from openloop.actions.apply import Applied
from openloop.actions.changes import Voter
from openloop.api.authentication import Configuring, Seeing, who
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Before, Limit, Page, Text, page_of, position
from openloop.domain.change import (
    Change,
    ChangeDecision,
    ChangeState,
    ManifestFile,
    PlannedDocument,
)
from openloop.domain.ids import ChangeId
from openloop.domain.principal import Right
from openloop.storage import changes, principals

if TYPE_CHECKING:
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/changes", tags=["changes"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAnswer:
    """Manifests that wait, or waited. `digest` covers what they change and how that widens rights."""

    id: ChangeId
    state: ChangeState
    origin: str
    version: str
    digest: str
    documents: tuple[PlannedDocument, ...]
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str
    decided_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDetail(ChangeAnswer):
    """The same with the manifests as they were written."""

    files: tuple[ManifestFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVote:
    """What a person says to a change."""

    __pydantic_config__ = STRICT_BODY

    decision: ChangeDecision
    reason: Annotated[Text, StringConstraints(max_length=2000)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedChange:
    """The change, and what was applied by it."""

    change: ChangeAnswer
    results: tuple[Applied, ...]


@router.get("", operation_id="list_changes")
async def list_changes(
    kit: Kit,
    caller: Seeing,
    *,
    limit: Limit = 50,
    cursor: Before = None,
    state: ChangeState | None = None,
) -> Page[ChangeAnswer]:
    """The newest first."""
    before = None if cursor is None else ChangeId(cursor)
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await changes.list_newest(tx, limit=limit, before=before, state=state)
        items = [await _answer(tx, change) for change in found]
    return page_of(items, limit=limit, last=items[-1].id if items else None, as_of=as_of)


@router.get("/{change_id}", operation_id="get_change")
async def get_change(kit: Kit, caller: Seeing, change_id: ChangeId) -> ChangeDetail:
    """One change."""
    async with kit.database.transaction(caller.workspace) as tx:
        change = await changes.get(tx, change_id)
        return ChangeDetail(**await _values(tx, change), files=change.files)


@router.post("/{change_id}/vote", operation_id="vote_on_change")
async def vote_on_change(
    kit: Kit, caller: Configuring, change_id: ChangeId, body: ChangeVote
) -> DecidedChange:
    """Approve what somebody else proposed, which applies it as it was shown; or reject it."""
    voter = Voter(
        principal=caller.principal,
        who=who(caller),
        is_owner=Right.TOKENS in caller.rights,
        reason=body.reason,
    )
    applied: list[Applied] = []
    match body.decision:
        case ChangeDecision.APPROVE:
            applied = await deciding.approve(
                kit.database, caller.workspace, change_id, voter=voter, world=kit.world
            )
        case ChangeDecision.REJECT:
            await deciding.reject(kit.database, caller.workspace, change_id, voter=voter)
    async with kit.database.transaction(caller.workspace) as tx:
        change = await _answer(tx, await changes.get(tx, change_id))
    return DecidedChange(change=change, results=tuple(applied))


async def _answer(tx: Transaction, change: Change) -> ChangeAnswer:
    return ChangeAnswer(**await _values(tx, change))


async def _values(tx: Transaction, change: Change) -> dict[str, Any]:
    proposer = await principals.get(tx, change.proposed_by)
    decider = await principals.get(tx, change.decided_by) if change.decided_by else None
    return {
        "id": change.id,
        "state": change.state,
        "origin": change.origin,
        "version": change.version,
        "digest": change.digest,
        "documents": change.documents,
        "proposed_by": proposer.name,
        "proposed_at": change.proposed_at,
        "expires_at": change.expires_at,
        "decided_by": decider.name if decider is not None else "",
        "decided_at": change.decided_at,
        "reason": change.reason,
    }
