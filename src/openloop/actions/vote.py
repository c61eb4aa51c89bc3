"""People deciding held calls. The click never makes the call: it writes a row and wakes the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.calls import hash_token
from openloop.actions.effects import put_settled
from openloop.actions.requesters import is_requester
from openloop.domain.approval import ApprovalState, Voter
from openloop.domain.audit import Who, actor_as_who
from openloop.domain.errors import AlreadyDecided, Conflict, Forbidden, NotAnApprover, NotFound
from openloop.domain.surface import Whisper
from openloop.storage import (
    approvals,
    audit,
    conversations,
    memories,
    outbox,
    principals,
    queue,
    runs,
)

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval, Decision
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
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
) -> Approval:
    """Record the decision of an authenticated principal and wake the run it was holding.

    Raises:
        NotFound, NotAnApprover, OwnRequest, AlreadyDecided, Expired
    """
    async with database.transaction(workspace) as tx:
        who = Who(kind="principal", name=by.name, principal_id=by.id, via=via)
        return await _decide(
            tx, configuration, workspace, approval_id, decision, by=by, who=who, reason=reason
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
) -> Approval:
    approval = await approvals.get(tx, approval_id)
    # Workers lock the conversation before anything else; in any other order the two would meet.
    await conversations.lock(tx, approval.conversation_id)
    approval = await approvals.lock(tx, approval_id)
    run = await runs.get(tx, approval.run_id)
    governing = await configuration.governing(tx, run.agent_id, run.revision_id)
    if by is None:
        message = f"Only {', '.join(approval.approvers)} may decide this"
        raise NotAnApprover(message)
    voter = await _voter(tx, governing, run, by, who)
    now = await tx.now()
    # Solo mode has to hold now, too: a click is decided by the stricter of both times.
    solo = approval.solo_mode and governing.workspace.spec.solo_mode
    after = replace(approval, solo_mode=solo).decide(decision, by=voter, at=now)
    if run.state.is_over and decision != "happened":
        message = f"The run that asked for this is {run.state} already"
        raise AlreadyDecided(message)
    if not await approvals.save_decision(
        tx, approval.id, before=approval.state, after=after, by=by.id, at=now, reason=reason
    ):
        message = "Somebody else decided this first"
        raise AlreadyDecided(message)
    await approvals.add_vote(
        tx, workspace, approval.id, principal_id=by.id, decision=decision, via=who.via
    )
    await put_settled(tx, workspace, approval, _outcome(after, decision, by, reason), run=run)
    await audit.append(
        tx,
        workspace,
        f"approval.{'confirmed' if decision == 'happened' else after}",
        actor=who,
        subject=approval.id,
        run_id=approval.run_id,
        tool=approval.tool,
        hash=approval.hash,
        solo_mode=approval.solo_mode,
        own_request=voter.is_requester,
        reason=reason,
    )
    await conversations.bump(tx, approval.conversation_id)
    await queue.wake(tx, workspace, approval.conversation_id)
    return await approvals.get(tx, approval.id)


async def _voter(tx: Transaction, governing: Governing, run: Run, by: Principal, who: Who) -> Voter:
    same_actor = who.surface == run.requested_by.surface and who.external_id == run.requested_by.id
    return Voter(
        principal_id=by.id,
        name=by.name,
        is_approver=by.active and governing.may_decide(by.name),
        is_requester=same_actor or await is_requester(tx, run, by.id),
    )


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
    choice = inbound.choice
    if choice is None:
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
        person, who = await _clicker(tx, inbound)
        told, done = None, True
        try:
            if choice.action == "undo":
                told = await _undo(tx, workspace, inbound, choice, who=who)
            elif choice.action in DECISIONS:
                await _choose(tx, configuration, workspace, inbound, choice, by=person, who=who)
            else:
                raise NotFound(VOID)
        except REFUSALS as refusal:  # raised before anything was written
            told, done = f"{refusal}.".replace("..", "."), False
            await audit.append(tx, workspace, "click.refused", actor=who, code=refusal.code)
        if told is not None and addressee.conversation_id is not None:
            whisper = Whisper(to_id=inbound.actor.id, markdown=told)
            await outbox.put(tx, workspace, addressee.conversation_id, whisper)
            await queue.wake(tx, workspace, addressee.conversation_id)
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
    found = await approvals.find_by_token(tx, hash_token(choice.token))
    if found is None:
        raise NotFound(VOID)
    approval = await approvals.get(tx, found)
    asked_in = (await conversations.get(tx, approval.conversation_id)).thread.place
    if asked_in.container != inbound.thread.place.container:
        raise NotFound(VOID)
    decision = DECISIONS[choice.action]
    await _decide(tx, configuration, workspace, found, decision, by=by, who=who)


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
