"""How runs end: answered, landed, failed, cancelled, declined. What they say is in the same commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions.calls import reply_as_output
from openloop.actions.cards import redraw
from openloop.actions.elsewhere import tell
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.run import RunState
from openloop.domain.surface import Say
from openloop.storage import approvals, audit, budgets, conversations, messages, outbox, runs, turns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from openloop.actions.claims import Work
    from openloop.actions.elsewhere import Line
    from openloop.actions.model_calls import Begun
    from openloop.domain.audit import Who
    from openloop.domain.ids import MessageId
    from openloop.domain.model import ModelReply
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.surface import Receipt, SetStatus
    from openloop.storage.database import Database, Pending, Transaction


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
    begun: Begun,
    reply: ModelReply,
    cost_usd: Decimal | None,
    say: Say | SetStatus | None,
    status: tuple[OutboxRow, Receipt] | None,
    elsewhere: tuple[Line, ...] = (),
) -> Ended:
    """Finish the last model call, the run and, if nothing has happened since, the claim: one commit.

    `status` was shown meanwhile; a status is worth showing now or never, so it is closed in any case.
    `elsewhere` are the lines for other places.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        shown = None
        if status is not None:
            shown = (status[0].id, work.claim.worker, status[1].message_ids)
        await turns.finish(
            tx,
            workspace,
            run.id,
            begun.seq,
            output=reply_as_output(reply),
            outcome=outcome_of(say),
            model=begun.model,
            by=work.agent,
            shown=shown,
        )
        said = await _say(tx, work, run, say)
        await tell(tx, work, elsewhere)
        released = await conversations.ask_release(tx, work.claim) if work.is_all_read else None
        # Last, because the budget rows are what everybody else is waiting for.
        await budgets.settle(
            tx,
            begun.reservation_id,
            cost_usd=None if reply.usage.assumed else cost_usd,
            usage=reply.usage,
        )
    return await _ended(said, released=released is not None and await released.count() == 1)


def outcome_of(say: Say | SetStatus | None) -> str:
    """How a run is called that its model has ended: one may have nothing to say."""
    return "answered" if isinstance(say, Say) else "silent"


async def end(
    database: Database,
    work: Work,
    run: Run,
    state: RunState,
    *,
    outcome: str,
    by: Who,
    say: Say | SetStatus | None = None,
    error_code: str = "",
    read: Sequence[MessageId] = (),
    read_until: MessageId | None = None,
    elsewhere: tuple[Line, ...] = (),
) -> Ended:
    """Close a run in any other way; asks that are still open are withdrawn with it.

    `read` are messages that it took in, `read_until` is the last of all that are void with it.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if read:
            await messages.mark_read(tx, read, run_id=run.id)
        if read_until is not None:
            await messages.mark_read_until(tx, work.conversation.id, read_until, run_id=run.id)
        await withdraw_open(tx, work, run, outcome)
        await outbox.drop_statuses(tx, work.conversation.id, sender=work.claim.worker)
        said = await _say(tx, work, run, say)
        await tell(tx, work, elsewhere)
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
        # What is left unread opens the next run, so the conversation is not let go.
        left = await messages.list_unread(tx, work.conversation.id)
        released = not left and await conversations.release(tx, work.claim)
    return await _ended(said, released=released)


async def withdraw_open(tx: Transaction, work: Work, run: Run, why: str) -> None:
    """Asks of a run that ends are void: nobody may approve them any more.

    What had begun and was never heard of again is shown as unknown, whatever ended the run.
    """
    for approval in await approvals.list_of_run(tx, run.id):
        if await approvals.move(
            tx, approval.id, before=[ApprovalState.EXECUTING], after=ApprovalState.UNKNOWN
        ):
            lost = "Unknown: the run ended before it was known whether this happened"
            await redraw(tx, work.workspace, approval, lost, run=run)
            await audit.append(
                tx,
                work.workspace,
                "effect.unknown",
                actor=SYSTEM,
                subject=approval.id,
                run_id=run.id,
                tool=approval.tool,
                step=approval.step_seq,
            )
        open_states = [ApprovalState.PENDING, ApprovalState.APPROVED]
        if await approvals.move(
            tx, approval.id, before=open_states, after=ApprovalState.WITHDRAWN, reason=why
        ):
            await redraw(tx, work.workspace, approval, f"Withdrawn: {why}", run=run)
            await audit.append(
                tx,
                work.workspace,
                "approval.withdrawn",
                actor=work.agent,
                subject=approval.id,
                run_id=run.id,
                reason=why,
            )


async def _say(
    tx: Transaction, work: Work, run: Run, say: Say | SetStatus | None
) -> Pending[OutboxRow] | None:
    if say is None:
        return None
    return await outbox.add(
        tx,
        work.workspace,
        work.conversation.id,
        say,
        run_id=run.id,
        sender=work.claim.worker,
    )


async def _ended(said: Pending[OutboxRow] | None, *, released: bool) -> Ended:
    return Ended(rows=(await said.one(),) if said is not None else (), released=released)
