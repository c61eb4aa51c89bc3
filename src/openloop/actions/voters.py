"""Who people are when they decide: looked up at the click, and again before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.requesters import is_requester
from openloop.domain.approval import Voter
from openloop.domain.principal import Role
from openloop.storage import approvals, logins, principals

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval, Vote
    from openloop.domain.audit import Who
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
    from openloop.storage.database import Database, Transaction


async def voter_of(
    tx: Transaction,
    governing: Governing,
    run: Run,
    approval: Approval,
    by: Principal,
    *,
    who: Who | None = None,
) -> Voter:
    """A principal as a voter: rights, groups and requests of now. `who` is how they came."""
    references = frozenset(
        ref for ref in approval.references if by.name in governing.workspace.members(ref)
    )
    asked = run.requested_by
    is_same_actor = who is not None and (who.surface, who.external_id) == (asked.surface, asked.id)
    return Voter(
        principal_id=by.id,
        name=by.name,
        references=references,
        is_approver=await is_approver(tx, governing.workspace, by),
        is_active=by.active and by.kind == "person",
        is_requester=is_same_actor or await is_requester(tx, run, by.id),
        is_owner=Role.OWNER in by.roles,
    )


async def is_approver(tx: Transaction, workspace: WorkspaceManifest, person: Principal) -> bool:
    """True where somebody has the role `approver` now, by which way they ever come.

    It is on the manifest's list, also through a mirrored group, or the identity provider says so
    while they are logged in.
    """
    if Role.APPROVER in person.roles or person.name in workspace.approvers:
        return True
    login = workspace.spec.access.login
    if not login.gives("approver"):
        return False
    return "approver" in login.granted(await logins.list_vouched_groups(tx, person.id))


async def may_vote(
    database: Database, configuration: Configuration, workspace: WorkspaceId, id: PrincipalId
) -> bool:
    """True for an active person who is an approver now: what every surface asks for."""
    async with database.transaction(workspace) as tx:
        person = await principals.find(tx, id)
        manifest = await configuration.workspace_of_now(tx)
        if person is None or not person.active or person.kind != "person":
            return False
        if manifest is None:
            return Role.APPROVER in person.roles
        return await is_approver(tx, manifest, person)


async def voters_of(
    tx: Transaction, governing: Governing, run: Run, approval: Approval
) -> list[tuple[Vote, Voter]]:
    """Every vote on an approval with the person who gave it, as they are now."""
    found: list[tuple[Vote, Voter]] = []
    for vote in await approvals.list_votes(tx, approval.id):
        person = await principals.get(tx, vote.principal_id)
        found.append((vote, await voter_of(tx, governing, run, approval, person)))
    return found
