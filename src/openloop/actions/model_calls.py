"""A model call in the journal: money is set aside before it, and booked with its result."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from openloop.domain import pricing
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Conflict
from openloop.domain.ids import ReservationId, new_id
from openloop.domain.model import Usage
from openloop.domain.run import RunState
from openloop.domain.step import StepKind, StepState
from openloop.storage import audit, budgets, conversations, messages, outbox, runs, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.domain.ids import MessageId, WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.pricing import ModelFacts
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import SetStatus
    from openloop.storage.budgets import Budget, Limits
    from openloop.storage.database import Database, Transaction


NOTHING = Usage(input_tokens=0, output_tokens=0)


class BudgetExhausted(Conflict):
    """The tightest budget affords no useful answer any more; the run has to land."""

    code = "budget_exhausted"

    def __init__(self, axis: str) -> None:
        super().__init__(f"The {axis} budget does not afford another model call")
        self.axis = axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A journaled model call that may be made now."""

    steps: tuple[Step, ...]
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
        LostClaim, BudgetExhausted
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if taken:
            await messages.mark_read(tx, taken, run_id=run.id)
        written: list[Step] = []
        row = None
        if context is not None:
            written.append(
                await steps.write(
                    tx,
                    workspace,
                    run.id,
                    0,
                    kind=StepKind.CONTEXT,
                    state=StepState.FINISHED,
                    epoch=work.claim.epoch,
                    output=context,
                )
            )
        if run.state is not RunState.WORKING:
            await runs.set_state(tx, run.id, RunState.WORKING, model=facts.model)
        if run.state is RunState.QUEUED:
            await audit.append(
                tx,
                workspace,
                "run.started",
                actor=work.agent,
                subject=run.id,
                run_id=run.id,
                model=facts.model,
                revision=run.revision_id,
            )
        if status is not None:
            row = await outbox.put(
                tx,
                workspace,
                work.conversation.id,
                status,
                run_id=run.id,
                sender=work.claim.worker,
            )
        for left in await budgets.find_held(tx, run.id, seq) if work.steps else ():
            await settle(tx, workspace, run, left, usage=None, cost_usd=None)
        rows = await budgets.lock(
            tx, workspace, agent_id=run.agent_id, run_id=run.id, limits=limits
        )
        max_tokens, amount = _reservation(rows, facts, input_tokens, output_limit)
        reservation_id = ReservationId(new_id())
        if not await budgets.reserve(
            tx,
            workspace,
            budgets=rows,
            reservation_id=reservation_id,
            run_id=run.id,
            step_seq=seq,
            epoch=work.claim.epoch,
            agent_id=run.agent_id,
            model=facts.model,
            amount_usd=amount,
        ):
            raise BudgetExhausted(_tightest(rows))
        written.append(
            await steps.write(
                tx,
                workspace,
                run.id,
                seq,
                kind=StepKind.MODEL,
                state=StepState.STARTED,
                epoch=work.claim.epoch,
                name=facts.model,
                input={
                    "steering": list(steering),
                    "max_tokens": max_tokens,
                    "input_tokens": input_tokens,
                    "reserved_usd": str(amount),
                },
            )
        )
    return Begun(
        steps=tuple(written),
        reservation_id=reservation_id,
        reserved_usd=amount,
        max_tokens=max_tokens,
        status=row,
    )


def _reservation(
    rows: Sequence[Budget], facts: ModelFacts, input_tokens: int, output_limit: int
) -> tuple[int, Decimal]:
    """How long the answer may be, and what to set aside for it."""
    tightest = min((r.remaining_usd for r in rows if r.remaining_usd is not None), default=None)
    affordable = None
    if tightest is not None:
        affordable = pricing.affordable_output_tokens(
            tightest, input_tokens=input_tokens, price=facts.price
        )
    most = pricing.max_tokens(
        model_maximum=facts.max_output_tokens, affordable=affordable, limit=output_limit
    )
    if most is None:
        raise BudgetExhausted(_tightest(rows))
    amount = pricing.reservation(input_tokens=input_tokens, max_tokens=most, price=facts.price)
    return most, amount


def _tightest(rows: Sequence[Budget]) -> str:
    limited = [r for r in rows if r.remaining_usd is not None]
    return min(limited, key=lambda r: r.remaining_usd or Decimal(0)).axis if limited else "agent"


async def settle(
    tx: Transaction,
    workspace: WorkspaceId,
    run: Run,
    reservation_id: ReservationId,
    *,
    usage: Usage | None,
    cost_usd: Decimal | None,
) -> None:
    """Book a call: at what the provider counted, or at the whole reservation where it did not.

    Whoever settles first wins; settling again changes nothing.
    """
    assumed = usage is None or usage.assumed or cost_usd is None
    settled = await budgets.settle(
        tx, reservation_id, cost_usd=None if assumed else cost_usd, usage=usage, assumed=assumed
    )
    if settled is None:
        return
    charged = settled.amount_usd if assumed or cost_usd is None else cost_usd
    await runs.add_usage(tx, run.id, usage or NOTHING, charged)
    if assumed or charged > settled.amount_usd:
        await audit.append(
            tx,
            workspace,
            "budget.assumed" if assumed else "budget.overrun",
            actor=SYSTEM,
            subject=reservation_id,
            run_id=run.id,
            reserved_usd=str(settled.amount_usd),
            charged_usd=str(charged),
            model=settled.model,
        )


async def fail(
    database: Database,
    work: Work,
    run: Run,
    reservation_id: ReservationId,
    *,
    sent: bool,
    code: str,
) -> None:
    """A call that gave no reply: what was never sent costs nothing, all else costs the reservation.

    The step stays started: it is a model call and may be made again.
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        await settle(
            tx,
            workspace,
            run,
            reservation_id,
            usage=None if sent else NOTHING,
            cost_usd=None if sent else Decimal(0),
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


async def settle_lapsed(database: Database, workspace: WorkspaceId, *, limit: int) -> int:
    """Settle, at their full amount, reservations whose lease ran out."""
    async with database.transaction(workspace) as tx:
        lapsed = await budgets.list_lapsed(tx, limit=limit)
        for reservation_id in lapsed:
            settled = await budgets.settle(
                tx, reservation_id, cost_usd=None, usage=None, assumed=True
            )
            if settled is None:
                continue
            await runs.add_usage(tx, settled.run_id, NOTHING, settled.amount_usd)
            await audit.append(
                tx,
                workspace,
                "budget.assumed",
                actor=SYSTEM,
                subject=reservation_id,
                run_id=settled.run_id,
                reserved_usd=str(settled.amount_usd),
                charged_usd=str(settled.amount_usd),
                model=settled.model,
            )
    return len(lapsed)
