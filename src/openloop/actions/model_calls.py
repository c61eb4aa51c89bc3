"""A model call in the journal: money is set aside before it, and booked with its result."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from openloop.domain.errors import Conflict
from openloop.domain.ids import ReservationId, new_id
from openloop.domain.model import Usage
from openloop.domain.run import RunState
from openloop.storage import audit, budgets, conversations, messages, outbox, runs, turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.domain.ids import MessageId, WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.pricing import ModelFacts
    from openloop.domain.run import Run
    from openloop.domain.surface import SetStatus
    from openloop.storage.budgets import Limits
    from openloop.storage.database import Database


NOTHING = Usage(input_tokens=0, output_tokens=0)


class BudgetExhausted(Conflict):
    """The tightest budget affords no useful answer any more; the run has to land."""

    code = "budget_exhausted"

    def __init__(self, axis: str, status: OutboxRow | None = None) -> None:
        super().__init__(f"The {axis} budget does not afford another model call")
        self.axis, self.status = axis, status


class BudgetTaken(BudgetExhausted):
    """The money is set aside for calls under way: when they are settled there may be enough."""

    code = "budget_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A journaled model call that may be made now."""

    seq: int
    model: str
    reservation_id: ReservationId
    reserved_usd: Decimal
    max_tokens: int
    status: OutboxRow | None


async def begin(
    database: Database,
    work: Work,
    run: Run,
    *,
    seq: int,
    facts: ModelFacts,
    input_tokens: int,
    output_limit: int,
    limits: Limits,
    context: dict[str, object] | None,
    steering: Sequence[str],
    taken: Sequence[MessageId],
    status: SetStatus | None,
) -> Begun:
    """Journal a model call as started and reserve what it may cost, in one transaction.

    `context` is written as step 0 when the run begins. `steering` is everything that was read
    before this call, `taken` the messages that this marks as read.

    Raises:
        LostClaim, BudgetTaken, BudgetExhausted
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        queued = None
        if context is not None:
            await turns.start(
                tx,
                workspace,
                run.id,
                agent_id=run.agent_id,
                revision_id=run.revision_id,
                epoch=work.claim.epoch,
                context=context,
                model=facts.model,
                by=work.agent,
                read=taken,
            )
        else:
            await messages.mark_read(tx, taken, run_id=run.id)
            await runs.set_state(tx, run.id, RunState.WORKING, model=facts.model)
            await budgets.open_rows(tx, workspace, agent_id=run.agent_id, run_id=run.id)
            for left in await budgets.find_held(tx, run.id, seq):
                # An attempt that broke off left its status behind, maybe our own: nothing may wait
                # for the lease of that.
                await outbox.drop_statuses(tx, work.conversation.id, sender=None)
                await budgets.settle(tx, left, cost_usd=None, usage=None)
        if status is not None:
            queued = await outbox.add(
                tx,
                workspace,
                work.conversation.id,
                status,
                run_id=run.id,
                sender=work.claim.worker,
            )
        reservation_id = ReservationId(new_id())
        asked = await budgets.reserve(
            tx,
            workspace,
            reservation_id=reservation_id,
            run_id=run.id,
            step_seq=seq,
            epoch=work.claim.epoch,
            agent_id=run.agent_id,
            model=facts.model,
            price=facts.price,
            input_tokens=input_tokens,
            longest=min(facts.max_output_tokens, output_limit),
            limits=limits,
            step_input={"steering": list(steering), "input_tokens": input_tokens},
        )
    row = await queued.one() if queued is not None else None
    reserved = await asked.one()
    if reserved.max_tokens is None:
        refusal = BudgetTaken if reserved.may_wait else BudgetExhausted
        raise refusal(reserved.axis, row)
    return Begun(
        seq=seq,
        model=facts.model,
        reservation_id=reservation_id,
        reserved_usd=reserved.amount_usd,
        max_tokens=reserved.max_tokens,
        status=row,
    )


async def fail(
    database: Database,
    work: Work,
    run: Run,
    reservation_id: ReservationId,
    *,
    sent: bool,
    code: str,
    status: SetStatus | None = None,
) -> OutboxRow | None:
    """A call that gave no reply: what was never sent costs nothing, all else costs the reservation.

    The step stays started: it is a model call and may be made again. `status` says what the run
    waits for.
    """
    workspace, row = work.workspace, None
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if status is not None:
            row = await outbox.put(
                tx,
                workspace,
                work.conversation.id,
                status,
                run_id=run.id,
                sender=work.claim.worker,
            )
        await audit.append(
            tx,
            workspace,
            "model.failed",
            actor=work.agent,
            subject=run.id,
            run_id=run.id,
            code=code,
            charged=sent,
        )
        await budgets.settle(
            tx,
            reservation_id,
            cost_usd=None if sent else Decimal(0),
            usage=None if sent else NOTHING,
        )
    return row


async def settle_lapsed(database: Database, workspace: WorkspaceId, *, limit: int) -> int:
    """Settle, at their full amount, reservations whose lease ran out.

    One transaction each, under the lock of its conversation as all that a run does: one that held
    the budget rows of two agents would meet the calls of the second.
    """
    async with database.transaction(workspace) as tx:
        lapsed = await budgets.list_lapsed(tx, limit=limit)
    for reservation_id, conversation in lapsed:
        async with database.transaction(workspace) as tx:
            await conversations.lock(tx, conversation)
            await budgets.settle(tx, reservation_id, cost_usd=None, usage=None)
    return len(lapsed)
