"""People deciding held calls. The click never makes the call: it writes a row and wakes the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.breaking import BREAK_GLASS, confirm_breaking
from openloop.actions.buttons import hash_token
from openloop.actions.cards import in_doubt, redraw
from openloop.actions.fresh import needs_fresh_login, refuse_old_login
from openloop.actions.opening import open_approval, wake_decided
from openloop.actions.pause import refuse_if_paused
from openloop.actions.voters import voter_of, voters_of
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import Who, actor_as_who
from openloop.domain.errors import (
    AlreadyDecided,
    Conflict,
    Edited,
    Forbidden,
    NotAnApprover,
    NotFound,
)
from openloop.domain.surface import Whisper
from openloop.storage import (
    approvals,
    audit,
    conversations,
    memories,
    outbox,
    principals,
    queue,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from openloop.actions.configuration import Configuration
    from openloop.actions.opening import Open
    from openloop.domain.approval import Approval, Decision, Vote, Voter
    from openloop.domain.ids import ApprovalId, ConversationId, LoginId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.surface import Choice, Inbound
    from openloop.storage.database import Database, Transaction


DECISIONS: dict[str, Decision] = {
    "approve": "approve",
    "deny": "deny",
    "retry": "retry",
    "happened": "happened",
}
REFUSALS = (Conflict, Forbidden, NotFound)
VOID = "This button is not valid any more."


async def vote(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    approval_id: ApprovalId,
    decision: Decision,
    *,
    by: Principal,
    via: str,
    reason: str = "",
    seen: str | None = None,
    login: LoginId | None = None,
) -> Approval:
    """Record the decision of an authenticated principal, and wake the run where it is decided.

    `seen` is the hash of what the person has read; without it nothing can be decided that somebody
    has edited. `login` is what they came by, if it is one.

    Raises:
        NotFound, NotAnApprover, OwnRequest, OwnEdit, AlreadyDecided, Edited, Expired, Paused,
        LoginTooOld
    """
    async with database.transaction(workspace) as tx:
        who = Who(kind="principal", name=by.name, principal_id=by.id, via=via)
        return await _decide(
            tx,
            configuration,
            workspace,
            approval_id,
            decision,
            by=by,
            who=who,
            reason=reason,
            seen=seen,
            login=login,
        )


async def _decide(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    approval_id: ApprovalId,
    decision: Decision,
    *,
    by: Principal | None,
    who: Who,
    reason: str = "",
    seen: str | None = None,
    login: LoginId | None = None,
) -> Approval:
    open_one = await open_approval(tx, configuration, approval_id)
    approval, run, governing = open_one.approval, open_one.run, open_one.governing
    if by is None:
        message = f"Only {', '.join(approval.approvers)} may decide this"
        raise NotAnApprover(message)
    voter = await voter_of(tx, governing, run, approval, by, who=who)
    votes = await voters_of(tx, governing, run, approval)
    now = await tx.now()
    if decision == "retry":
        approval = approval.renewed(at=now)
    after = approval.decide(decision, by=voter, at=now, votes=votes)
    refuse_if_paused(governing.pause)
    _refuse_unseen(approval, seen)
    if needs_fresh_login(approval, decision):
        await refuse_old_login(tx, login, of=by.id)
    if run.state.is_over and decision != "happened":
        message = f"The run that asked for this is {run.state} already"
        raise AlreadyDecided(message)
    if after is approval.state:
        if any(vote.principal_id == by.id and approval.is_asked_in(vote) for vote, _ in votes):
            message = "You have approved this already; it needs somebody else, too"
            raise AlreadyDecided(message)
        await approvals.add_vote(
            tx, workspace, approval, principal_id=by.id, decision=decision, via=who.via
        )
        votes.append((approval.vote_of(voter, decision, at=now), voter))
        await _count(tx, workspace, replace(open_one, approval=approval), votes, who, now)
        return approval
    if not await approvals.save_decision(
        tx,
        approval.id,
        before=approval.state,
        after=after,
        by=by.id,
        at=now,
        round=approval.round,
        attempt=approval.attempt,
        reason=reason,
    ):
        message = "Somebody else decided this first"
        raise AlreadyDecided(message)
    await approvals.add_vote(
        tx, workspace, approval, principal_id=by.id, decision=decision, via=who.via
    )
    await redraw(tx, workspace, approval, _outcome(after, decision, by, reason), run=run)
    await audit.append(
        tx,
        workspace,
        f"approval.{'confirmed' if decision == 'happened' else after}",
        actor=who,
        subject=approval.id,
        run_id=approval.run_id,
        tool=approval.tool,
        hash=approval.hash,
        round=approval.round,
        attempt=approval.attempt,
        solo_mode=approval.solo_mode,
        own_request=voter.is_requester,
        reason=reason,
    )
    await wake_decided(tx, workspace, approval)
    return await approvals.get(tx, approval.id)


async def _count(
    tx: Transaction,
    workspace: WorkspaceId,
    open_one: Open,
    votes: Sequence[tuple[Vote, Voter]],
    who: Who,
    now: datetime,
) -> None:
    """One vote more, and not enough yet: the card says how many, and stays open."""
    approval = open_one.approval
    counts = approval.count(votes, at=now)
    given = ", ".join(f"{c.given} of {c.demand.quorum}" for c in counts)
    if approval.state is ApprovalState.UNKNOWN:
        await approvals.keep_asking(tx, approval)
        told = f"{who.name} wants to try it again; {given} so far"
        await redraw(tx, workspace, in_doubt(approval), told, run=open_one.run, buttons=None)
    else:
        told = f"Approved by {who.name}; {given} so far"
        await redraw(tx, workspace, approval, told, run=open_one.run, buttons=None)
    await audit.append(
        tx,
        workspace,
        "approval.voted",
        actor=who,
        subject=approval.id,
        run_id=approval.run_id,
        hash=approval.hash,
        round=approval.round,
        attempt=approval.attempt,
        given=[c.given for c in counts],
        quorums=[c.demand.quorum for c in counts],
    )


def _refuse_unseen(approval: Approval, seen: str | None) -> None:
    if seen is None and approval.round == 1:
        return
    if seen != approval.hash:
        message = (
            "Somebody has edited this: read it again, and decide with the hash of what you read"
        )
        raise Edited(message)


def _outcome(after: ApprovalState, decision: Decision, by: Principal, reason: str) -> str:
    match decision:
        case "approve" | "retry":
            return f"Approved by {by.name}; running"
        case "deny":
            return f"Rejected by {by.name}" + (f": {reason}" if reason else "")
        case "happened":
            return f"{by.name} says that it happened ({after})"


async def click(
    database: Database, configuration: Configuration, workspace: WorkspaceId, inbound: Inbound
) -> bool:
    """Carry out a click on one of our buttons, once; whoever may not is told so in private.

    The button carries an opaque token: what it means, and who may use it, is in our rows. All of it
    is one transaction: a click that could not be committed is a new one when it is delivered again.
    """
    if inbound.choice is None:
        return False
    async with database.transaction(workspace) as tx:
        addressee = await conversations.take_keys(
            tx,
            workspace,
            inbound.thread,
            delivery_key=inbound.delivery_key,
            subject_key=inbound.subject_key,
        )
        if not addressee.is_new:
            return False
        return await carry_out(tx, configuration, workspace, inbound, addressee.conversation_id)


async def carry_out(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    inbound: Inbound,
    conversation: ConversationId | None,
) -> bool:
    """Do what a choice says that was taken in; False where whoever made it may not."""
    choice = inbound.choice
    assert choice is not None  # noqa: S101  # every inbound of this kind has one
    person, who = await _clicker(tx, inbound)
    told, done = None, True
    try:
        if choice.action == "undo":
            told = await _undo(tx, workspace, inbound, choice, who=who)
        elif choice.action == BREAK_GLASS:
            told = await confirm_breaking(
                tx, configuration, workspace, inbound, hash_token(choice.token), by=person
            )
        elif choice.action in DECISIONS:
            await _choose(tx, configuration, workspace, inbound, choice, by=person, who=who)
        else:
            raise NotFound(VOID)
    except REFUSALS as refusal:  # raised before anything was written
        told, done = f"{refusal}.".replace("..", "."), False
        await audit.append(tx, workspace, "click.refused", actor=who, code=refusal.code)
    if told is not None and conversation is not None:
        whisper = Whisper(to_id=inbound.actor.id, markdown=told, message_id=inbound.message_id)
        await outbox.put(tx, workspace, conversation, whisper)
        await queue.wake(tx, workspace, conversation)
    return done


async def _clicker(tx: Transaction, inbound: Inbound) -> tuple[Principal | None, Who]:
    """The principal who clicked, if it is one, and how the audit names them."""
    who = actor_as_who(inbound.actor)
    person = await principals.find_by_identity(
        tx,
        surface=inbound.actor.surface,
        tenant=inbound.actor.tenant,
        external_id=inbound.actor.id,
    )
    if person is not None:
        who = replace(
            who, kind="principal", name=person.name, principal_id=person.id, via=who.surface
        )
    return person, who


async def _choose(
    tx: Transaction,
    configuration: Configuration,
    workspace: WorkspaceId,
    inbound: Inbound,
    choice: Choice,
    *,
    by: Principal | None,
    who: Who,
) -> None:
    """Decide the approval whose card this is; a token is good in its own place only."""
    approval = await approvals.find_by_token(tx, hash_token(choice.token))
    if approval is None:
        raise NotFound(VOID)
    asked_in = (await conversations.get(tx, approval.conversation_id)).thread.place
    if asked_in.container != inbound.thread.place.container:
        raise NotFound(VOID)
    decision = DECISIONS[choice.action]
    # The token was made with these bytes: an edit that comes in between has other ones.
    await _decide(
        tx,
        configuration,
        workspace,
        approval.id,
        decision,
        by=by,
        who=who,
        seen=approval.hash,
    )


async def _undo(
    tx: Transaction, workspace: WorkspaceId, inbound: Inbound, choice: Choice, *, who: Who
) -> str:
    """Take a note back: whoever asked for it may, and every principal of the workspace."""
    found = await memories.find_by_undo(tx, hash_token(choice.token))
    if found is None:
        raise NotFound(VOID)
    memory_id, author = found
    if who.kind != "principal" and author != inbound.actor.id:
        message = "Only the person who asked for this note, or a listed person, may undo it"
        raise NotAnApprover(message)
    if await memories.retract(tx, memory_id):
        await audit.append(tx, workspace, "memory.retracted", actor=who, subject=memory_id)
    return "Undone: that note is not recalled any more."
