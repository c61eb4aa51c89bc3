"""What becomes of an ask while nobody has decided it: it expires, escalates, goes stale, is withdrawn.

A waiting run is found by its due time or by a wake-up. Whatever is due then happens here, each time
in one transaction by the database's clock; nothing is kept in memory in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.actions import asking
from openloop.actions.cards import in_doubt, redraw
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import AlreadyDecided, LostClaim
from openloop.domain.run import RunState
from openloop.domain.step import StepState
from openloop.domain.surface import Say
from openloop.domain.tool import ToolResult
from openloop.storage import approvals, audit, cards, conversations, outbox, queue, runs, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.actions.judged import Changed
    from openloop.domain.approval import Approval
    from openloop.domain.audit import Who
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.storage.database import Database, Transaction

ROOM_AGAIN = timedelta(minutes=5)
"""How long a parked ask waits before it looks for room by itself; mostly it is woken before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When an ask has to be looked at again (None: it is not pending any more)."""

    again_at: datetime | None
    has_posted: bool = False


async def look_after(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    step: Step,
    approval: Approval,
    *,
    recheck: Callable[[Governing, Approval], Changed | None],
) -> Look:
    """Do what is due for an undecided ask.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        current, now = await approvals.lock(tx, approval.id), await tx.now()
        if current.state is not ApprovalState.PENDING:
            return Look(again_at=None)
        if now >= current.expires_at:
            await _expire(tx, work, run, current)
            return Look(again_at=None, has_posted=True)
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        if governing.pause is not None:
            return Look(again_at=current.next_look_at())
        changed = recheck(governing, current)
        if changed is not None:
            await void(tx, work, run, governing, step, current, changed)
            return Look(again_at=None, has_posted=True)
        due = [stage for stage in current.escalations() if stage[0] <= now]
        if len(due) > current.escalated:
            current = await _escalate(tx, work, run, governing, current, due)
            return Look(again_at=current.next_look_at(), has_posted=True)
        if current.parked == "approvers":
            shown = await asking.show(tx, work, run, governing, current)
            if shown is None:
                return Look(again_at=min(current.next_look_at(), now + ROOM_AGAIN))
            return Look(again_at=current.next_look_at(), has_posted=True)
    return Look(again_at=current.next_look_at())


async def void(
    tx: Transaction,
    work: Work,
    run: Run,
    governing: Governing,
    step: Step,
    approval: Approval,
    changed: Changed,
) -> Step:
    """What decided the hold has changed: nothing of it counts any more, and it is asked anew.

    Where it would not be asked at all any more the step is finished, and the model told why.
    """
    if not await approvals.move(
        tx, approval.id, before=[approval.state], after=ApprovalState.STALE, reason=changed.reason
    ):
        raise LostClaim(f"Approval {approval.id} has changed meanwhile")
    await audit.append(
        tx,
        work.workspace,
        "approval.stale",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
        reason=changed.reason,
        asked_anew=changed.anew is not None,
    )
    if changed.anew is not None:
        told = f"Stale: {changed.reason}. It is asked anew below"
        await redraw(tx, work.workspace, approval, told, run=run)
        anew = replace(changed.anew, seq=step.seq, edited_by=approval.edited_by)
        await asking.ask(tx, work, run, governing, [anew])
        await runs.set_state(tx, run.id, RunState.WAITING)
        return step
    await redraw(tx, work.workspace, approval, f"Not done: {changed.reason}", run=run)
    result = ToolResult.refused(
        f"The approval is stale: {changed.reason}. Ask again if it is needed."
    )
    output: dict[str, object] = {"outcome": result.outcome, "content": result.content}
    if not await steps.finish(tx, run.id, step.seq, output=output):
        raise LostClaim(f"Step {step.key} is on record already")
    return replace(step, state=StepState.FINISHED, output=output)


async def reopen(
    tx: Transaction, work: Work, run: Run, approval: Approval, *, after: ApprovalState, why: str
) -> None:
    """Votes count no more: the approval is as open as before them, and people are asked again.

    `after` is pending, or unknown for a call that was made before and may have happened.
    """
    if not await approvals.move(
        tx, approval.id, before=[ApprovalState.APPROVED], after=after, reason=why
    ):
        raise LostClaim(f"Approval {approval.id} has changed meanwhile")
    await redraw(tx, work.workspace, approval, f"Open again: {why}, see below", run=run)
    await audit.append(
        tx,
        work.workspace,
        "approval.reopened",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
        reason=why,
    )
    again = in_doubt(approval) if after is ApprovalState.UNKNOWN else replace(approval, state=after)
    await asking.ask_again(tx, work, run, again)
    await runs.set_state(tx, run.id, RunState.WAITING)


async def withdraw(
    database: Database, workspace: WorkspaceId, id: ApprovalId, *, by: Who, reason: str
) -> Approval:
    """Take an ask back that nothing has come of: it will never run, and its run goes on without it.

    Raises:
        NotFound, AlreadyDecided
    """
    async with database.transaction(workspace) as tx:
        approval = await approvals.get(tx, id)
        await conversations.lock(tx, approval.conversation_id)
        approval = await approvals.lock(tx, id)
        run = await runs.get(tx, approval.run_id)
        open_states = [ApprovalState.PENDING, ApprovalState.APPROVED]
        if not await approvals.move(
            tx, id, before=open_states, after=ApprovalState.WITHDRAWN, reason=reason
        ):
            message = f"This is not open any more: it is {approval.state}"
            raise AlreadyDecided(message)
        said = f"Withdrawn by {by.name}" + (f": {reason}" if reason else "")
        await redraw(tx, workspace, approval, said, run=run)
        await audit.append(
            tx,
            workspace,
            "approval.withdrawn",
            actor=by,
            subject=id,
            run_id=run.id,
            reason=reason,
        )
        await approvals.wake_parked(tx, limit=1)
        await conversations.bump(tx, approval.conversation_id)
        await queue.wake(tx, workspace, approval.conversation_id)
        return await approvals.get(tx, id)


async def _expire(tx: Transaction, work: Work, run: Run, approval: Approval) -> None:
    await approvals.move(
        tx, approval.id, before=[ApprovalState.PENDING], after=ApprovalState.EXPIRED
    )
    await redraw(tx, work.workspace, approval, "Expired: nobody decided", run=run)
    await audit.append(
        tx,
        work.workspace,
        "approval.expired",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
    )
    await approvals.wake_parked(tx, limit=1)


async def _escalate(
    tx: Transaction,
    work: Work,
    run: Run,
    governing: Governing,
    approval: Approval,
    due: list[tuple[datetime, tuple[str, ...]]],
) -> Approval:
    """Tell those who may decide from now on, once; that they may is a matter of the clock alone.

    Whoever is asked about too much already is not mentioned: they find it in the inbox.
    """
    references = [ref for _, stage in due[approval.escalated :] for ref in stage]
    names = {name for ref in references for name in governing.workspace.voters(ref)}
    people = await cards.list_people(tx, names)
    members = asking.members_of(governing, people, references)
    further = [each for each in members if each not in approval.told]
    further = await asking.with_room(tx, governing, further)
    told = tuple(dict.fromkeys((*approval.told, *further)))
    if not await approvals.set_escalated(tx, approval, len(due), told=told):
        raise LostClaim(f"Approval {approval.id} has changed meanwhile")
    ids = await cards.list_addresses(tx, further, surface=work.conversation.surface)
    who = ", ".join([f"<@{id}>" for id in ids] or references)
    await outbox.put(
        tx,
        work.workspace,
        work.conversation.id,
        Say(
            markdown=f"Nobody has decided this yet: {approval.card.title}. "
            f"From now on {who} may decide it, too.",
            mention_ids=tuple(ids),
        ),
        run_id=run.id,
    )
    await audit.append(
        tx,
        work.workspace,
        "approval.escalated",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
        stage=len(due),
        approvers=references,
    )
    return replace(approval, escalated=len(due), told=told)
