"""What becomes of a call: an approval is used up once, and every effect is on record both ways."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.calls import TOKEN_BYTES, as_output, hash_token, put_card
from openloop.actions.requesters import is_requester
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.domain.run import RunState
from openloop.domain.step import StepKind, StepState
from openloop.domain.surface import Say, Settle
from openloop.domain.tool import ToolResult
from openloop.storage import approvals, audit, conversations, outbox, principals, runs, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.storage.database import Database, Transaction

TRIED = "tried"
LOST = (
    "was called, and its answer was lost: it may have happened. Please look before it is asked for "
    "again."
)
OUTCOMES = {"done": "effect.done", "unknown": "effect.unknown"}


async def begin(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    step: Step,
    approval: Approval,
    *,
    recheck: Callable[[Governing, Approval], str | None],
) -> Step:
    """Use up an approval and write the intent, in one transaction; then the bytes may run, once.

    `recheck` says why what was approved is not what would be decided now. An approval that fails
    it, whose time is over, or whose approver may not decide any more, becomes stale and the
    returned step is finished. Where somebody has asked the run to stop, it is still held.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if (await runs.get(tx, run.id)).cancel_asked_by is not None:
            return step
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        problem = (
            recheck(governing, approval)
            or await _approver_problem(tx, governing, run, approval)
            or await _time_problem(tx, step, approval)
        )
        if problem is not None:
            return await _go_stale(tx, work, run, step, approval, problem)
        if not await approvals.consume(tx, approval.id, hash=approval.hash):
            raise LostClaim(f"Approval {approval.id} is not open any more")
        await audit.append(
            tx,
            workspace,
            "effect.intended",
            actor=work.agent,
            subject=approval.id,
            run_id=run.id,
            tool=approval.tool,
            hash=approval.hash,
            step=step.seq,
        )
        await runs.set_state(tx, run.id, RunState.WORKING)
        return await steps.write(
            tx,
            workspace,
            run.id,
            step.seq,
            kind=StepKind.TOOL,
            state=StepState.STARTED,
            epoch=work.claim.epoch,
            name=step.name,
            effect=step.effect,
            rule=step.rule,
            input=step.input,
        )


async def _approver_problem(
    tx: Transaction, governing: Governing, run: Run, approval: Approval
) -> str | None:
    if approval.decided_by is None:
        return "nobody decided it"
    person = await principals.find(tx, approval.decided_by)
    if person is None or not person.active or not governing.may_decide(person.name):
        return "the person who approved it is not an approver any more"
    solo = approval.solo_mode and governing.workspace.spec.solo_mode
    if not solo and await is_requester(tx, run, person.id):
        return "the person who approved it is the one who asked for it"
    return None


async def _time_problem(tx: Transaction, step: Step, approval: Approval) -> str | None:
    """An approval is for its time only; a retry is a decision of its own about the same call."""
    if was_tried(step) or await tx.now() < approval.expires_at:
        return None
    return "it was approved in time, and it is too late to do it now"


def was_tried(step: Step) -> bool:
    """True for a call that was made before, and nobody could tell whether it happened."""
    return bool(step.input.get(TRIED))


async def _go_stale(
    tx: Transaction, work: Work, run: Run, step: Step, approval: Approval, problem: str
) -> Step:
    workspace = work.workspace
    await approvals.move(
        tx, approval.id, before=[ApprovalState.APPROVED], after=ApprovalState.STALE, reason=problem
    )
    result = ToolResult.refused(f"The approval is stale: {problem}. Ask again if it is needed.")
    await _finish_step(tx, step, run, result)
    await put_settled(tx, workspace, approval, f"Not done: {problem}", run=run)
    await audit.append(
        tx,
        workspace,
        "approval.stale",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
        reason=problem,
    )
    return replace(step, state=StepState.FINISHED, output=as_output(result))


async def finish(
    database: Database,
    work: Work,
    run: Run,
    step: Step,
    result: ToolResult,
    *,
    approval: Approval | None,
) -> tuple[Step, OutboxRow | None]:
    """Record what a call came to, and say so on its card.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    row = None
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        await _finish_step(tx, step, run, result)
        if approval is not None:
            happened = result.outcome == "done"
            await approvals.move(
                tx,
                approval.id,
                before=[ApprovalState.EXECUTING, ApprovalState.UNKNOWN],
                after=ApprovalState.EXECUTED if happened else ApprovalState.FAILED,
                result=as_output(result),
            )
            outcome = f"Done: {result.link}" if happened and result.link else _said(result)
            row = await put_settled(
                tx, workspace, approval, outcome, run=run, sender=work.claim.worker
            )
        elif result.outcome == "unknown":
            lost = Say(markdown=f"`{step.name}` {LOST}")
            row = await outbox.put(
                tx,
                workspace,
                work.conversation.id,
                lost,
                run_id=run.id,
                sender=work.claim.worker,
            )
        if step.effect is not None and step.effect.leaves_us:
            await audit.append(
                tx,
                workspace,
                OUTCOMES.get(result.outcome, "effect.failed"),
                actor=work.agent,
                subject=approval.id if approval else run.id,
                run_id=run.id,
                tool=step.name,
                step=step.seq,
                link=result.link,
            )
    return replace(step, state=StepState.FINISHED, output=as_output(result)), row


def _said(result: ToolResult) -> str:
    if result.outcome == "done":
        return "Done"
    content = result.content
    reason = content.get("error") or content.get("refused") if isinstance(content, dict) else ""
    return f"Failed: {reason}" if reason else "Failed"


async def refuse(database: Database, work: Work, run: Run, step: Step, approval: Approval) -> Step:
    """Close a held step whose approval was denied, expired or withdrawn; the model is told."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if approval.state is ApprovalState.DENIED:
            said = "A person rejected this"
            result = ToolResult.refused(f"{said}: {approval.reason}" if approval.reason else said)
        else:
            result = ToolResult.refused("Nobody approved this in time; it was not done.")
        await _finish_step(tx, step, run, result)
        await runs.set_state(tx, run.id, RunState.WORKING)
    return replace(step, state=StepState.FINISHED, output=as_output(result))


async def expire(database: Database, work: Work, run: Run, approval: Approval) -> bool:
    """Close an ask that nobody decided in time, by the database clock; False where somebody did."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        current = await approvals.lock(tx, approval.id)
        if current.state is not ApprovalState.PENDING or await tx.now() < current.expires_at:
            return False
        await approvals.move(
            tx, approval.id, before=[ApprovalState.PENDING], after=ApprovalState.EXPIRED
        )
        await put_settled(tx, workspace, approval, "Expired: nobody decided", run=run)
        await audit.append(
            tx,
            workspace,
            "approval.expired",
            actor=SYSTEM,
            subject=approval.id,
            run_id=run.id,
        )
    return True


async def put_back(
    database: Database, work: Work, run: Run, step: Step, approval: Approval
) -> None:
    """Nothing was sent: the approved call waits for its next try, still approved."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        await approvals.move(
            tx,
            approval.id,
            before=[ApprovalState.EXECUTING],
            after=ApprovalState.APPROVED,
        )
        await _hold_step(tx, work, run, step)
        await audit.append(
            tx,
            workspace,
            "effect.postponed",
            actor=SYSTEM,
            subject=approval.id,
            run_id=run.id,
            tool=step.name,
        )


async def mark_unknown(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    step: Step,
    approval: Approval,
) -> OutboxRow | None:
    """It may have happened and nothing can tell: show that, and ask a person what is true."""
    workspace = work.workspace
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        moved = await approvals.move(
            tx,
            approval.id,
            before=[ApprovalState.EXECUTING],
            after=ApprovalState.UNKNOWN,
            reason="the answer was lost",
        )
        if not moved:
            return None
        await _hold_step(tx, work, run, replace(step, input={**step.input, TRIED: True}))
        await runs.set_state(tx, run.id, RunState.WAITING)
        await approvals.replace_token(tx, approval.id, hash_token(token))
        await put_settled(
            tx, workspace, approval, "Unknown: the answer was lost, see below", run=run
        )
        await audit.append(
            tx,
            workspace,
            "effect.unknown",
            actor=SYSTEM,
            subject=approval.id,
            run_id=run.id,
            tool=step.name,
            step=step.seq,
        )
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        unknown = replace(
            approval,
            state=ApprovalState.UNKNOWN,
            card=replace(
                approval.card,
                title=f"Did this happen? {approval.card.title}",
                notes=(
                    "The answer of the other side was lost and could not be found again. "
                    "Please look, and say what is true.",
                ),
            ),
        )
        return await put_card(tx, work, run, governing, unknown, token=token)


async def put_settled(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    outcome: str,
    *,
    run: Run,
    sender: UUID | None = None,
) -> OutboxRow | None:
    """Settle every rendered copy of a card; the courier fills in where they are.

    With `sender` the row that is returned has to be sent by the caller.
    """
    if not await outbox.list_copies(tx, approval.id):
        return None
    return await outbox.put(
        tx,
        workspace,
        approval.conversation_id,
        Settle(message_id="", card=approval.card, outcome=outcome),
        run_id=run.id,
        approval_id=approval.id,
        sender=sender,
    )


async def _finish_step(tx: Transaction, step: Step, run: Run, result: ToolResult) -> None:
    if not await steps.finish(tx, run.id, step.seq, output=as_output(result)):
        raise LostClaim(f"Step {step.key} is on record already")


async def _hold_step(tx: Transaction, work: Work, run: Run, step: Step) -> None:
    await steps.write(
        tx,
        work.workspace,
        run.id,
        step.seq,
        kind=StepKind.TOOL,
        state=StepState.HELD,
        epoch=work.claim.epoch,
        name=step.name,
        effect=step.effect,
        rule=step.rule,
        input=step.input,
    )


def earliest_expiry(held: list[Approval]) -> datetime | None:
    """When somebody has to look at waiting approvals again."""
    return min((a.expires_at for a in held if a.state is ApprovalState.PENDING), default=None)
