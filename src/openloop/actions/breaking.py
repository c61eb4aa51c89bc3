"""Breaking the glass: an owner lets one held call run without its quorum, in the open.

The reason is written down first, wherever the owner is; the glass is broken by a click of the same
person on a platform that vouches for them, never by a token. It is good for an hour, every other
owner is told where nobody else reads it, and the audit has all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.actions.buttons import hash_token, new_token
from openloop.actions.cards import redraw
from openloop.actions.fresh import refuse_old_login
from openloop.actions.opening import open_approval, wake_decided
from openloop.actions.pause import refuse_if_paused
from openloop.actions.telling import tell_alone, threads_with
from openloop.domain.approval import GLASS_HOURS, ApprovalState
from openloop.domain.audit import Who, actor_as_who
from openloop.domain.errors import AlreadyDecided, Edited, Forbidden, NotFound
from openloop.domain.principal import Role
from openloop.domain.surface import Button, Say
from openloop.storage import approvals, audit, cards, conversations, glasses, outbox, queue

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration
    from openloop.actions.opening import Open
    from openloop.domain.approval import Approval
    from openloop.domain.ids import ApprovalId, LoginId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.surface import Inbound, Thread
    from openloop.storage.database import Database, Transaction

BREAK_GLASS = "break_glass"
CONFIRM_MINUTES = 60
CONSOLE = "console"


class NotAnOwner(Forbidden):
    """Only an owner of the workspace may do this."""

    code = "not_an_owner"


class NoSecondOwner(Forbidden):
    """Nobody could be told: a glass is never broken unseen."""

    code = "no_second_owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another owner, and where they can be told alone; none where no surface reaches them so."""

    person: Principal
    threads: tuple[Thread, ...]


async def ask_to_break(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    approval_id: ApprovalId,
    *,
    by: Principal,
    via: str,
    reason: str,
    login_id: LoginId | None = None,
) -> Approval:
    """Write down why, and offer the owner a button where the call was asked about.

    With a fresh login through the identity provider no button is needed: the glass is broken at once.

    Raises:
        NotFound, NotAnOwner, NoSecondOwner, AlreadyDecided, Expired, Paused, LoginTooOld
        Forbidden: nobody could vouch for the owner where the call was asked about
    """
    async with database.transaction(workspace) as tx:
        open_one = await open_approval(tx, configuration, approval_id)
        approval = open_one.approval
        others = await _check(tx, configuration, workspace, open_one, by)
        who = Who(kind="principal", name=by.name, principal_id=by.id, via=via)
        if login_id is not None and await glasses.is_vouched_for(tx, login_id, by=by.id):
            await refuse_old_login(tx, login_id, of=by.id)
            await _break(tx, workspace, open_one, others, by=by, who=who, reason=reason)
        else:
            await _offer(tx, workspace, open_one, by=by, who=who, reason=reason)
        return await approvals.get(tx, approval.id)


async def _offer(
    tx: Transaction,
    workspace: WorkspaceId,
    open_one: Open,
    *,
    by: Principal,
    who: Who,
    reason: str,
) -> None:
    approval = open_one.approval
    surface = (await conversations.get(tx, approval.conversation_id)).surface
    if surface == CONSOLE or not await cards.list_addresses(tx, [by.id], surface=surface):
        message = (
            "Nobody can vouch for you where this was asked about: a glass is broken by your own "
            "click in the thread, or under a login through the identity provider"
        )
        raise Forbidden(message, code="not_vouched_for")
    token = new_token()
    await glasses.add(
        tx,
        workspace,
        approval,
        by=by.id,
        reason=reason,
        token_sha256=hash_token(token),
        minutes=CONFIRM_MINUTES,
    )
    said = (
        f"{by.name} wants to break the glass for: {approval.card.title}. Reason: {reason}\n\n"
        f"Only {by.name} can confirm it. Then it runs without its approvers, and every other owner "
        "is told."
    )
    button = Button(action=BREAK_GLASS, label="Break the glass", token=token, style="danger")
    await outbox.put(
        tx,
        workspace,
        approval.conversation_id,
        Say(markdown=said, buttons=(button,)),
        run_id=approval.run_id,
    )
    await audit.append(
        tx,
        workspace,
        "glass.asked",
        actor=who,
        subject=approval.id,
        run_id=approval.run_id,
        hash=approval.hash,
        reason=reason,
    )
    await queue.wake(tx, workspace, approval.conversation_id)


async def confirm_breaking(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    inbound: Inbound,
    token_sha256: bytes,
    *,
    by: Principal | None,
) -> str:
    """The owner's click: the call is approved, for an hour, and every other owner is told.

    Raises:
        NotFound, NotAnOwner, NoSecondOwner, AlreadyDecided, Expired, Paused
    """
    glass = await glasses.find(tx, token_sha256, by=by.id) if by is not None else None
    if by is None or glass is None or inbound.actor.surface == CONSOLE:
        message = "This button is not valid any more."
        raise NotFound(message)
    open_one = await open_approval(tx, configuration, glass.approval_id)
    others = await _check(tx, configuration, workspace, open_one, by)
    if open_one.approval.round != glass.round:
        message = "Somebody has edited this since: read it again"
        raise Edited(message)
    who = replace(actor_as_who(inbound.actor), principal_id=by.id, name=by.name)
    await _break(tx, workspace, open_one, others, by=by, who=who, reason=glass.reason)
    await glasses.use_up(tx, glass.id)
    return "The glass is broken: it runs within the hour, or not at all."


async def _break(
    tx: Transaction,
    workspace: WorkspaceId,
    open_one: Open,
    others: list[Other],
    *,
    by: Principal,
    who: Who,
    reason: str,
) -> None:
    approval = open_one.approval
    if not await approvals.save_decision(
        tx,
        approval.id,
        before=ApprovalState.PENDING,
        after=ApprovalState.APPROVED,
        by=by.id,
        at=await tx.now(),
        round=approval.round,
        reason=reason,
    ):
        message = "Somebody else decided this first"
        raise AlreadyDecided(message)
    await approvals.add_vote(
        tx, workspace, approval, principal_id=by.id, decision=BREAK_GLASS, via=who.via
    )
    await approvals.limit_time(tx, approval.id, hours=GLASS_HOURS)
    told = f"Glass broken by {by.name}: {reason}"
    await redraw(tx, workspace, approval, told, run=open_one.run)
    await _tell(tx, workspace, open_one, others, said=f"{told} ({approval.card.title})")
    await audit.append(
        tx,
        workspace,
        "glass.broken",
        actor=who,
        subject=approval.id,
        run_id=approval.run_id,
        hash=approval.hash,
        reason=reason,
        told=[other.person.name for other in others if other.threads],
        not_reached=[other.person.name for other in others if not other.threads],
    )
    await wake_decided(tx, workspace, approval)


async def _check(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    open_one: Open,
    by: Principal,
) -> list[Other]:
    """Everybody else who has to be told.

    Raises:
        NotAnOwner, NoSecondOwner, AlreadyDecided, Expired, Paused
    """
    if not (by.active and by.kind == "person" and Role.OWNER in by.roles):
        message = "Only an owner of the workspace may break the glass"
        raise NotAnOwner(message)
    open_one.approval.check_open(at=await tx.now())
    refuse_if_paused(open_one.governing.pause)
    others = [
        Other(person=each, threads=await threads_with(tx, configuration, workspace, each.id))
        for each in await glasses.list_owners(tx, but=by.id)
    ]
    if not others:
        message = "There is no second owner who could be told, so no glass can be broken"
        raise NoSecondOwner(message)
    if not any(other.threads for other in others):
        message = _unreachable(configuration, [other.person.name for other in others])
        raise NoSecondOwner(message)
    return others


def _unreachable(configuration: Configuration, names: list[str]) -> str:
    who = " or ".join(names)
    if not configuration.alone:
        return (
            f"Nothing is configured here that could tell {who} of it alone, so no glass can be "
            "broken: configure Slack, and link their Slack id"
        )
    surfaces = " or ".join(sorted(configuration.alone))
    return (
        f"{who} could not be told of it alone, so no glass can be broken: give one of them an id "
        f"on {surfaces} in the Workspace manifest, or let them link it (`openloop link begin`)"
    )


async def _tell(
    tx: Transaction, workspace: WorkspaceId, open_one: Open, others: list[Other], *, said: str
) -> None:
    """In the thread, and to each other owner alone: whoever does not read the thread has to know.

    The threads are sorted, so that two who tell the same people at once never wait for each other.
    """
    approval = open_one.approval
    surface = (await conversations.get(tx, approval.conversation_id)).surface
    people = [other.person for other in others]
    ids = await cards.list_addresses(tx, [each.id for each in people], surface=surface)
    who = ", ".join([f"<@{id}>" for id in ids] or [each.name for each in people])
    await outbox.put(
        tx,
        workspace,
        approval.conversation_id,
        Say(markdown=f"{who}: {said}", mention_ids=tuple(ids)),
        run_id=approval.run_id,
    )
    where = f"\n\n{open_one.run.request_link}" if open_one.run.request_link else ""
    alone = Say(
        markdown=f"{said}\n\nIt runs without its approvers, within the hour. All of it: "
        f"`openloop approvals get {approval.id}`{where}"
    )
    for thread in sorted({each for other in others for each in other.threads}, key=repr):
        await tell_alone(tx, workspace, thread, alone, run_id=approval.run_id)
