"""How runs end: answered, landed, failed, cancelled, declined. What they say is in the same commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions import model_calls
from openloop.actions.calls import reply_as_output
from openloop.actions.effects import put_settled
from openloop.domain.approval import ApprovalState
from openloop.domain.run import RunState
from openloop.storage import approvals, audit, conversations, messages, outbox, runs, steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from openloop.actions.claims import Work
    from openloop.domain.audit import Who
    from openloop.domain.ids import MessageId, ReservationId
    from openloop.domain.model import ModelReply
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import Receipt, Say
    from openloop.storage.database import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A closed run: what is to be sent, and whether the conversation was let go with it."""

    rows: tuple[OutboxRow, ...]
    released: bool


async def answer(
    database: Database,
    work: Work,
    run: Run,
    *,
    step: Step,
    reply: ModelReply,
    reservation_id: ReservationId,
    cost_usd: Decimal | None,
    say: Say | None,
    status: tuple[OutboxRow, Receipt] | None,
) -> Ended:
    """Finish the last model call, the run and, if nothing has happened since, the claim: one commit.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if status is not None:
            await _record_status(tx, work, *status)
        await steps.finish(tx, run.id, step.seq, output=reply_as_output(reply))
        row = await _say(tx, work, run, say)
        await runs.end(tx, run.id, RunState.DONE, outcome="answered")
        await audit.append(
            tx,
            workspace,
            "run.done",
            actor=work.agent,
            subject=run.id,
            run_id=run.id,
            outcome="answered",
            model=step.name,
        )
        released = await conversations.release(tx, work.claim)
        # Last, because the budget rows are what everybody else is waiting for.
        await model_calls.settle(
            tx, workspace, run, reservation_id, usage=reply.usage, cost_usd=cost_usd
        )
    return Ended(rows=(row,) if row else (), released=released)


async def end(
    database: Database,
    work: Work,
    run: Run,
    state: RunState,
    *,
    outcome: str,
    by: Who,
    say: Say | None = None,
    error_code: str = "",
    read: Sequence[MessageId] = (),
) -> Ended:
    """Close a run in any other way; asks that are still open are withdrawn with it.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if read:
            await messages.mark_read(tx, read, run_id=run.id)
        await withdraw_open(tx, work, run, outcome)
        await outbox.drop_statuses(tx, work.conversation.id)
        row = await _say(tx, work, run, say)
        await runs.end(tx, run.id, state, outcome=outcome, error_code=error_code)
        await audit.append(
            tx,
            workspace,
            f"run.{state}",
            actor=by,
            subject=run.id,
            run_id=run.id,
            outcome=outcome,
            error_code=error_code,
        )
        released = await conversations.release(tx, work.claim)
    return Ended(rows=(row,) if row else (), released=released)


async def withdraw_open(tx: Transaction, work: Work, run: Run, why: str) -> None:
    """Asks of a run that ends are void: nobody may approve them any more."""
    for approval in await approvals.list_of_run(tx, run.id):
        open_states = [ApprovalState.PENDING, ApprovalState.APPROVED]
        if await approvals.move(
            tx, approval.id, before=open_states, after=ApprovalState.WITHDRAWN, reason=why
        ):
            await put_settled(
                tx, work.workspace, approval, f"Withdrawn: {why}", run=run, work=work
            )
            await audit.append(
                tx,
                work.workspace,
                "approval.withdrawn",
                actor=work.agent,
                subject=approval.id,
                run_id=run.id,
                reason=why,
            )


async def _say(tx: Transaction, work: Work, run: Run, say: Say | None) -> OutboxRow | None:
    if say is None:
        return None
    return await outbox.put(
        tx,
        work.workspace,
        work.conversation.id,
        say,
        run_id=run.id,
        sender=work.claim.worker,
    )


async def _record_status(tx: Transaction, work: Work, row: OutboxRow, receipt: Receipt) -> None:
    """A status is worth showing now or never: whatever came of it, it is closed."""
    if receipt.outcome == "done":
        await outbox.mark_sent(
            tx, row.id, sender=work.claim.worker, message_ids=receipt.message_ids
        )
    else:
        await outbox.close(
            tx, row.id, sender=work.claim.worker, state="dropped", detail=receipt.detail
        )
