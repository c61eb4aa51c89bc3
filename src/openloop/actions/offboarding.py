"""A person leaves: every way in is closed at once, and what they asked for is taken back.

Their votes stop counting by themselves: who may decide is looked up when a vote is counted, and
again before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from openloop.actions.cards import redraw
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Conflict, Forbidden, NotFound
from openloop.domain.login import UNNAMED
from openloop.domain.principal import Principal, Right, Role
from openloop.storage import (
    agents,
    approvals,
    audit,
    conversations,
    leaving,
    links,
    logins,
    principals,
    queue,
    runs,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from openloop.actions.configuration import Configuration
    from openloop.domain.audit import Who
    from openloop.domain.ids import ConversationId, PrincipalId, RunId, WorkspaceId
    from openloop.domain.principal import Caller
    from openloop.domain.surface import Departure
    from openloop.storage.database import Database, Transaction

OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)


class LastOwner(Conflict):
    """Without this person nobody could give anybody a right any more."""

    code = "last_owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What was closed and taken back with a person."""

    principal: str
    logins: int
    tokens: int
    runs: int
    approvals: int


async def offboard(
    database: Database, workspace: WorkspaceId, name: str, *, caller: Caller, by: Who, reason: str
) -> Left:
    """An admin or owner says that a person has left. Only owners say it of owners.

    Raises:
        NotFound, Forbidden, LastOwner
    """
    async with database.transaction(workspace) as tx:
        # One after the other: of two owners who send each other away, one stays.
        await agents.lock_workspace(tx, workspace)
        person = await _person(tx, name)
        asked = await _lock(tx, person.id)
        if Role.OWNER in person.roles:
            if Right.TOKENS not in caller.rights:
                raise Forbidden(f"{name} is an owner: an owner has to do this")
            await _refuse_last_owner(tx, person)
        left = await _leave(tx, workspace, person, asked, by=by, because=reason)
    return await _leave_the_rest(database, workspace, left, asked, person.id, by=by)


async def departed(
    database: Database, workspace: WorkspaceId, departure: Departure, *, by: Who
) -> Left | None:
    """A platform says that somebody is deactivated; None where that is nobody's id here.

    Whom nobody has listed may have asked as a member of the place: that is taken back all the same.
    """
    async with database.transaction(workspace) as tx:
        person = await principals.find_any_by_identity(
            tx,
            surface=departure.surface,
            tenant=departure.tenant,
            external_id=departure.external_id,
        )
        if person is not None and person.kind != "person":
            return None
        if person is not None:
            asked = await _lock(tx, person.id)
            because = f"deactivated on {departure.surface}"
            left = await _leave(tx, workspace, person, asked, by=by, because=because)
            rest = partial(_leave_the_rest, database, workspace, left, asked, person.id, by=by)
        else:
            rest = partial(_leave_unlisted, database, workspace, departure, by=by)
    return await rest()


async def refused_by_provider(
    database: Database, workspace: WorkspaceId, id: PrincipalId, *, why: str
) -> Left:
    """An identity provider does not let a person in any more; where it does again, they are back."""
    async with database.transaction(workspace) as tx:
        asked = await _lock(tx, id)
        person = await principals.get(tx, id)
        left = await _leave(tx, workspace, person, asked, by=SYSTEM, because=why, by_login=True)
    return await _leave_the_rest(database, workspace, left, asked, id, by=SYSTEM)


async def restore(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    name: str,
    *,
    by: Who,
) -> None:
    """A person is back: their roles are those of the manifest again; tokens and logins are not.

    Raises:
        NotFound: no such person, or they had not left
    """
    async with database.transaction(workspace) as tx:
        person = await _person(tx, name)
        if not await come_back(tx, configuration, workspace, person, by=by):
            raise NotFound(f"{name} has not left")


async def come_back(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    person: Principal,
    *,
    by: Who,
    by_login: bool = False,
) -> bool:
    """The same within a transaction; False where they had not left, or not by their login."""
    manifest = await configuration.workspace(tx)
    listed = manifest is not None and person.name in manifest.spec.people
    is_known = listed or person.name.startswith(UNNAMED)
    if not await principals.come_back(tx, person.id, is_known=is_known, by_login=by_login):
        return False
    await audit.append(
        tx, workspace, "principal.restored", actor=by, subject=person.id, principal=person.name
    )
    return True


async def _person(tx: Transaction, name: str) -> Principal:
    found = await principals.find_by_name(tx, name)
    if found is None or found.kind != "person":
        raise NotFound(f"No person {name!r}")
    return found


async def _lock(tx: Transaction, id: PrincipalId) -> list[tuple[ConversationId, RunId]]:
    """Lock what they asked for before anything else, as everybody does."""
    return await _locked(tx, await leaving.list_asked_by(tx, id))


async def _locked(
    tx: Transaction, asked: list[tuple[ConversationId, RunId]]
) -> list[tuple[ConversationId, RunId]]:
    await leaving.lock_conversations(tx, [conversation for conversation, _ in asked])
    return asked


async def _refuse_last_owner(tx: Transaction, person: Principal) -> None:
    others = [
        each
        for each in await principals.list_all(tx)
        if each.kind == "person" and each.active and Role.OWNER in each.roles
    ]
    if all(each.id == person.id for each in others):
        raise LastOwner(f"{person.name} is the last owner: name another one first")


async def _leave(
    tx: Transaction,
    workspace: WorkspaceId,
    person: Principal,
    asked: Sequence[tuple[ConversationId, RunId]],
    *,
    by: Who,
    because: str,
    by_login: bool = False,
) -> Left:
    is_new = await principals.leave(tx, person.id, by_login=by_login)
    ended = await logins.end_of(tx, person.id)
    revoked = await tokens.revoke_of(tx, person.id)
    await links.remove_of(tx, person.id)
    withdrawn = await _take_back(tx, workspace, asked, by=by, because=f"{person.name} has left")
    left = Left(
        principal=person.name,
        logins=ended,
        tokens=len(revoked),
        runs=len(asked),
        approvals=withdrawn,
    )
    if is_new or ended or revoked or asked:
        await audit.append(
            tx,
            workspace,
            "principal.left",
            actor=by,
            subject=person.id,
            principal=person.name,
            reason=because,
            logins=ended,
            tokens=revoked,
            runs=len(asked),
            approvals=withdrawn,
        )
    return left


async def _leave_the_rest(
    database: Database,
    workspace: WorkspaceId,
    left: Left,
    asked: Sequence[tuple[ConversationId, RunId]],
    id: PrincipalId,
    *,
    by: Who,
) -> Left:
    """Stop what else they asked for, where that was too much for one transaction.

    Runs of others that they steered go on, without what these have asked people for.
    """
    take_back = partial(
        _take_back_all, database, workspace, by=by, because=f"{left.principal} has left"
    )
    runs_asked, withdrawn = 0, 0
    if len(asked) == leaving.MOST:
        runs_asked, withdrawn = await take_back(partial(leaving.list_asked_by, principal_id=id))
    steered = partial(leaving.list_steered_by, principal_id=id)
    _, more = await take_back(steered, are_stopped=False)
    return replace(left, runs=left.runs + runs_asked, approvals=left.approvals + withdrawn + more)


async def _leave_unlisted(
    database: Database, workspace: WorkspaceId, departure: Departure, *, by: Who
) -> None:
    """Whoever had no principal here asked as a member of the place; nothing else hangs on them."""
    found = partial(
        leaving.list_asked_under,
        surface=departure.surface,
        tenant=departure.tenant,
        external_id=departure.external_id,
    )
    await _take_back_all(database, workspace, found, by=by, because="whoever asked has left")


async def _take_back_all(
    database: Database,
    workspace: WorkspaceId,
    find: Callable[[Transaction], Awaitable[list[tuple[ConversationId, RunId]]]],
    *,
    by: Who,
    because: str,
    are_stopped: bool = True,
) -> tuple[int, int]:
    """Take back whatever is found, some at a time; how many runs and asks that were."""
    count, withdrawn = 0, 0
    while True:
        async with database.transaction(workspace) as tx:
            found = await _locked(tx, await find(tx))
            withdrawn += await _take_back(
                tx, workspace, found, by=by, because=because, are_stopped=are_stopped
            )
        count += len(found)
        if len(found) < leaving.MOST:
            return count, withdrawn


async def _take_back(
    tx: Transaction,
    workspace: WorkspaceId,
    asked: Sequence[tuple[ConversationId, RunId]],
    *,
    by: Who,
    because: str,
    are_stopped: bool = True,
) -> int:
    """Stop runs, and withdraw what these have asked people for; how many asks that were."""
    withdrawn = 0
    for conversation, run_id in asked:
        if are_stopped and await runs.ask_cancel(tx, run_id, by):
            await audit.append(
                tx, workspace, "run.stop_asked", actor=by, subject=run_id, run_id=run_id
            )
        run = await runs.get(tx, run_id)
        for approval in await approvals.list_of_run(tx, run_id):
            if not await approvals.move(
                tx, approval.id, before=OPEN, after=ApprovalState.WITHDRAWN, reason=because
            ):
                continue
            withdrawn += 1
            await redraw(tx, workspace, approval, f"Withdrawn: {because}", run=run)
            await audit.append(
                tx,
                workspace,
                "approval.withdrawn",
                actor=by,
                subject=approval.id,
                run_id=run_id,
                reason=because,
            )
        await conversations.bump(tx, conversation)
        await queue.wake(tx, workspace, conversation)
    return withdrawn
