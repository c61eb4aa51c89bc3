"""A model call in the journal: money is set aside before it, and booked with its result."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.actions.apply import CONSOLE
from openloop.domain.errors import Conflict
from openloop.domain.ids import ReservationId, new_id
from openloop.domain.model import Usage
from openloop.domain.pause import Paused
from openloop.domain.run import RunState
from openloop.storage import (
    accounts,
    audit,
    budgets,
    conversations,
    extensions,
    messages,
    outbox,
    runs,
    turns,
)
from openloop.storage.accounts import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.domain.budget import Limits, Tight
    from openloop.domain.ids import MessageId, WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.pricing import ModelFacts
    from openloop.domain.run import Run
    from openloop.domain.surface import SetStatus
    from openloop.storage.budgets import Reserved
    from openloop.storage.database import Database, Pending, Transaction


NOTHING = Usage(input_tokens=0, output_tokens=0)
COUNTS = 3
"""How often rows that are missing are counted before the call waits instead."""


class BudgetExhausted(Conflict):
    """The tightest budget affords no useful answer any more; the run has to land."""

    code = "budget_exhausted"

    def __init__(self, tight: Tight, status: OutboxRow | None = None) -> None:
        super().__init__(f"{tight} does not afford another model call")
        self.tight, self.status = tight, status


class BudgetTaken(BudgetExhausted):
    """The money is set aside for calls under way: when they are settled there may be enough."""

    code = "budget_taken"


class HeldBack(Paused):
    """The agent was paused while the call was made ready: nothing was reserved."""

    def __init__(self, status: OutboxRow | None = None) -> None:
        super().__init__("The agent is paused")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A journaled model call that may be made now."""

    seq: int
    model: str
    reservation_id: ReservationId
    reserved_usd: Decimal
    max_tokens: int
    status: OutboxRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A model call that is to begin.

    `context` is written as step 0 when the run begins. `steering` is everything that was read
    before this call, `taken` the messages that this marks as read.
    """

    seq: int
    facts: ModelFacts
    input_tokens: int
    output_limit: int
    limits: Limits
    context: dict[str, object] | None
    steering: Sequence[str]
    taken: Sequence[MessageId]
    status: SetStatus | None


async def begin(database: Database, work: Work, run: Run, call: ModelCall) -> Begun:
    """Journal a model call as started and reserve what it may cost, in one transaction.

    Where a limit needs a row that is not there, it is counted first, and the call begun again.

    Raises:
        LostClaim, HeldBack, BudgetTaken, BudgetExhausted
    """
    account, reservation_id = account_of(work, run), ReservationId(new_id())
    status, reserved = await _try(database, work, run, call, account, reservation_id)
    for _ in range(COUNTS):
        if not reserved.missing or reserved.paused:
            break
        async with database.transaction(work.workspace) as tx:
            await accounts.count_rows(tx, account, call.limits)
        # What else it writes is on record by now.
        call = replace(call, context=None, taken=(), status=None)
        _, reserved = await _try(database, work, run, call, account, reservation_id)
    if reserved.paused:
        raise HeldBack(status)
    if reserved.max_tokens is None:
        refusal = BudgetTaken if reserved.may_wait else BudgetExhausted
        raise refusal(reserved.tight, status)
    return Begun(
        seq=call.seq,
        model=call.facts.model,
        reservation_id=reservation_id,
        reserved_usd=reserved.amount_usd,
        max_tokens=reserved.max_tokens,
        status=status,
    )


def account_of(work: Work, run: Run) -> Account:
    """Whose budgets the calls of a run count against."""
    principal = None
    if run.requested_by.surface == CONSOLE:
        # On the console people are known as principals: their id there is the principal's.
        with suppress(ValueError):
            principal = UUID(run.requested_by.id)
    return Account(
        workspace=work.workspace,
        agent_id=run.agent_id,
        run_id=run.id,
        place=work.conversation.thread.place,
        requester=run.requested_by,
        principal=principal,
    )


async def _try(
    database: Database,
    work: Work,
    run: Run,
    call: ModelCall,
    account: Account,
    reservation_id: ReservationId,
) -> tuple[OutboxRow | None, Reserved]:
    """Begin, once every reservation is settled that an attempt which broke off had left behind."""
    while True:
        tried = await _begin(database, work, run, call, account, reservation_id)
        if tried is not None:
            return tried


async def _begin(
    database: Database,
    work: Work,
    run: Run,
    call: ModelCall,
    account: Account,
    reservation_id: ReservationId,
) -> tuple[OutboxRow | None, Reserved] | None:
    """The transaction of it; None where it settled something that was left, and did nothing else."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if call.context is None and await _settle_left(tx, work, run, call.seq):
            return None
        await _journal(tx, work, run, call)
        queued: Pending[OutboxRow] | None = None
        if call.status is not None:
            queued = await outbox.add(
                tx,
                workspace,
                work.conversation.id,
                call.status,
                run_id=run.id,
                sender=work.claim.worker,
            )
        asked = await budgets.reserve(
            tx,
            account,
            reservation_id=reservation_id,
            step_seq=call.seq,
            epoch=work.claim.epoch,
            model=call.facts.model,
            price=call.facts.price,
            input_tokens=call.input_tokens,
            longest=min(call.facts.max_output_tokens, call.output_limit),
            limits=call.limits,
            step_input={"steering": list(call.steering), "input_tokens": call.input_tokens},
        )
    return await queued.one() if queued is not None else None, await asked.one()


async def _settle_left(tx: Transaction, work: Work, run: Run, seq: int) -> bool:
    """Settle a reservation that an attempt which broke off left behind.

    It is all that its transaction does: one that held its rows and wanted those of the next
    reservation, which may be others, would meet somebody who has them the other way round.
    """
    left = await budgets.find_held(tx, run.id, seq)
    if not left:
        return False
    # That attempt left its status behind, too, maybe our own: nothing may wait for its lease.
    await outbox.drop_statuses(tx, work.conversation.id, sender=None)
    await budgets.settle(tx, left[0], cost_usd=None, usage=None)
    return True


async def _journal(tx: Transaction, work: Work, run: Run, call: ModelCall) -> None:
    """What the first call of a run writes beside the money, or a later one."""
    if call.context is not None:
        await turns.start(
            tx,
            work.workspace,
            run.id,
            agent_id=run.agent_id,
            revision_id=run.revision_id,
            epoch=work.claim.epoch,
            context=call.context,
            model=call.facts.model,
            by=work.agent,
            read=call.taken,
        )
        return
    await messages.mark_read(tx, call.taken, run_id=run.id)
    await runs.set_state(tx, run.id, RunState.WORKING, model=call.facts.model)
    await accounts.open_rows(tx, work.workspace, agent_id=run.agent_id, run_id=run.id)


async def tell_used_up(database: Database, work: Work, run: Run, tight: Tight) -> None:
    """Note, once for the row, that a limit refused a call; the run says it in its thread.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        await extensions.tell_used_up(tx, work.workspace, tight, run.id)


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
