"""Changes that widen rights: proposed by one, approved by another, applied as they were shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions.apply import Applied, Origin
from openloop.actions.checks import check, refuse_moved
from openloop.actions.plan import plan_of
from openloop.actions.revise import write
from openloop.domain.change import (
    Change,
    ChangeDecided,
    ChangeDecision,
    ChangeExpired,
    ChangeStale,
    ChangeState,
)
from openloop.domain.ids import ChangeId, new_id
from openloop.domain.manifest import parse_workspace
from openloop.domain.principal import Role
from openloop.storage import agents, audit, principals
from openloop.storage import changes as rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.apply import World
    from openloop.domain.audit import Who
    from openloop.domain.change import ManifestFile, Plan, PlannedDocument
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.storage.database import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """Who decides, and through what; whether they may configure at all was checked before."""

    principal: PrincipalId
    who: Who
    is_owner: bool = False
    reason: str = ""


async def propose(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    planned: Plan,
    *,
    by: PrincipalId,
    who: Who,
    origin: str,
    version: str,
) -> ChangeId:
    """Let manifests wait for somebody else; the same proposal again is the same change.

    What the same proposer has waiting from the same place for the same agents is superseded.
    """
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        for change in await rows.list_pending_of(tx, origin=origin, by=by):
            if change.digest == planned.digest:
                return change.id
            if _subjects(change.documents) & _subjects(planned.documents):
                await rows.settle(tx, change.id, ChangeState.SUPERSEDED)
                await audit.append(tx, workspace, "change.superseded", actor=who, subject=change.id)
        change_id = ChangeId(new_id())
        await rows.add(
            tx,
            workspace,
            change_id,
            origin=origin,
            version=version,
            files=files,
            digest=planned.digest,
            documents=planned.documents,
            by=by,
        )
        await audit.append(
            tx,
            workspace,
            "change.proposed",
            actor=who,
            subject=change_id,
            origin=origin,
            version=version,
            digest=planned.digest,
            documents=[f"{document.kind} {document.name}" for document in planned.documents],
            widenings=[
                f"{document.name}: {each.path}: {each.sentence}"
                for document in planned.documents
                for each in document.widenings
            ],
        )
    return change_id


async def approve(
    database: Database, workspace: WorkspaceId, change_id: ChangeId, *, voter: Voter, world: World
) -> list[Applied]:
    """Agree to a change: what was shown is applied, or nothing.

    Raises:
        OwnProposal, NotAPerson, NeedsOwner: somebody else has to
        ChangeDecided, ChangeExpired: it is over
        ChangeStale: it would come to something else by now; propose it again
        Invalid: it could not be applied any more
    """
    async with database.transaction(workspace) as tx:
        change = await rows.get(tx, change_id)
        await _may_approve(tx, change, voter)
    checked = await check(database, workspace, change.files, world)
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        change = await rows.lock(tx, change_id)
        solo_mode = await _may_approve(tx, change, voter)
        await refuse_moved(tx, checked)
        if plan_of(checked).digest == change.digest:
            await _record(tx, workspace, change, ChangeDecision.APPROVE, voter, solo_mode=solo_mode)
            return await write(
                tx,
                workspace,
                checked,
                by=change.proposed_by,
                who=voter.who,
                origin=Origin(name=change.origin, change_id=change.id),
            )
        await rows.settle(tx, change.id, ChangeState.STALE)
        await audit.append(tx, workspace, "change.stale", actor=voter.who, subject=change.id)
    message = "What is in force has changed since this was proposed; propose it again"
    raise ChangeStale(message)


async def reject(
    database: Database, workspace: WorkspaceId, change_id: ChangeId, *, voter: Voter
) -> None:
    """Refuse a change, or take one's own back: what was in force stays so.

    Raises:
        ChangeDecided, ChangeExpired
    """
    async with database.transaction(workspace) as tx:
        change = await rows.lock(tx, change_id)
        _refuse_over(change)
        await _record(tx, workspace, change, ChangeDecision.REJECT, voter, solo_mode=False)


async def _may_approve(tx: Transaction, change: Change, voter: Voter) -> bool:
    """Whether the workspace is in solo mode, by the manifest in force and not the proposed one."""
    _refuse_over(change)
    revision = await agents.find_workspace_revision(tx)
    live = (
        parse_workspace(revision.source, name="the live workspace")
        if revision is not None
        else None
    )
    principal = await principals.get(tx, voter.principal)
    proposer = await principals.get(tx, change.proposed_by)
    solo_mode = live is not None and live.spec.solo_mode
    change.refuse_voter(
        principal.id,
        is_person=principal.kind == "person",
        has_owner=voter.is_owner
        or (proposer.active and Role.OWNER in proposer.roles)
        or live is None
        or not live.has_owners,
        solo_mode=solo_mode,
    )
    return solo_mode


def _refuse_over(change: Change) -> None:
    if change.state is ChangeState.EXPIRED:
        raise ChangeExpired("Nobody decided this change in time; propose it again")
    if change.state is not ChangeState.PENDING:
        raise ChangeDecided(f"This change is {change.state} already")


async def _record(
    tx: Transaction,
    workspace: WorkspaceId,
    change: Change,
    decision: ChangeDecision,
    voter: Voter,
    *,
    solo_mode: bool,
) -> None:
    own = voter.principal == change.proposed_by
    approved = decision is ChangeDecision.APPROVE
    state = ChangeState.APPROVED if approved else ChangeState.REJECTED
    await rows.add_vote(
        tx,
        workspace,
        change.id,
        by=voter.principal,
        decision=decision,
        own_proposal=own,
        via=voter.who.via,
    )
    await rows.settle(tx, change.id, state, by=voter.principal, reason=voter.reason)
    await audit.append(
        tx,
        workspace,
        "change.approved" if approved else "change.rejected",
        actor=voter.who,
        subject=change.id,
        digest=change.digest,
        own_proposal=own,
        solo_mode=solo_mode,
        reason=voter.reason,
    )


def _subjects(documents: Sequence[PlannedDocument]) -> set[tuple[str, str]]:
    return {(document.kind, document.name) for document in documents}
