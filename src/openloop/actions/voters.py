"""Who people are when they decide: looked up at the click, and again before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.requesters import is_requester
from openloop.domain.approval import Voter
from openloop.domain.principal import Role
from openloop.storage import approvals, principals

if TYPE_CHECKING:
    from openloop.actions.configuration import Governing
    from openloop.domain.approval import Approval, Vote
    from openloop.domain.audit import Who
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction


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
        is_active=by.active and by.kind == "person",
        is_requester=is_same_actor or await is_requester(tx, run, by.id),
        is_owner=Role.OWNER in by.roles,
    )


async def voters_of(
    tx: Transaction, governing: Governing, run: Run, approval: Approval
) -> list[tuple[Vote, Voter]]:
    """Every vote on an approval with the person who gave it, as they are now."""
    found: list[tuple[Vote, Voter]] = []
    for vote in await approvals.list_votes(tx, approval.id):
        person = await principals.get(tx, vote.principal_id)
        found.append((vote, await voter_of(tx, governing, run, approval, person)))
    return found
