"""Extending a limit by an approval: asked once for a step, carried out once, and never by the click.

The approval's row is one like all others, for the model call that could not be afforded. What it says
is carried out by the worker, in the transaction that uses it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions import asking
from openloop.actions.cards import redraw
from openloop.actions.voters import voters_of
from openloop.actions.waiting import reopen
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.domain.run import RunState
from openloop.domain.surface import SetStatus
from openloop.storage import approvals, audit, conversations, extensions, outbox, runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from openloop.actions.calls import Held
    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval
    from openloop.domain.budget import Offer
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.storage.database import Database, Transaction

VOTES_LOST = "not enough people have approved it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An extension as people are asked for it; `owner` is whose month counts it."""

    offer: Offer
    owner: UUID
    held: Held


async def ask(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    seq: int,
    *,
    offered: Callable[[Governing], Offered | None],
) -> list[OutboxRow] | None:
    """Ask people for an extension, and let the run wait; None where nobody is to be asked.

    That is so where no manifest offers one, its month has had them all, or this step has had one.
    The rows have to be sent by the caller.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        wanted = offered(governing)
        if wanted is None or any(
            each.step_seq == seq and each.state is not ApprovalState.STALE
            for each in await approvals.list_of_run(tx, run.id)
        ):
            return None
        given = await extensions.count_extensions(tx, wanted.owner)
        if given >= wanted.offer.at_most_per_month:
            return None
        sender = work.claim.worker
        cards = await asking.ask(tx, work, run, governing, [wanted.held], sender=sender)
        await runs.set_state(tx, run.id, RunState.WAITING)
        status = SetStatus(text="is waiting for a decision", state="waiting")
        conversation = work.conversation.id
        shown = await outbox.add(
            tx, work.workspace, conversation, status, run_id=run.id, sender=sender
        )
    return [await each.one() for each in (*cards, shown)]


async def carry_out(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    approval: Approval,
    *,
    offered: Callable[[Governing], Offered | None],
) -> None:
    """Use an approval up and extend the limit by it, in one transaction.

    Where what was approved is not what would be offered now, where it is too late, or where the month
    has had all its extensions, the approval is stale; where votes count no more it is open again.
    Nothing happens where somebody has asked the run to stop, or paused its agent.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        if (await runs.get(tx, run.id)).cancel_asked_by or governing.pause is not None:
            return
        wanted, now = offered(governing), await tx.now()
        if wanted is None or wanted.held.hash != approval.hash:
            await void(tx, work, run, approval, "what would be asked for now is something else")
            return
        if now >= approval.expires_at:
            await void(tx, work, run, approval, "it was approved in time, and it is too late now")
            return
        votes = await voters_of(tx, governing, run, approval)
        if not approval.is_carried(votes, at=now):
            after = ApprovalState.PENDING
            await reopen(tx, work, run, approval, after=after, why=VOTES_LOST)
            return
        if not await _extend(tx, wanted):
            await void(
                tx, work, run, approval, "its time is over, or the month has had all its extensions"
            )
            return
        await _close(tx, work, run, approval, wanted)


async def _extend(tx: Transaction, wanted: Offered) -> bool:
    return await extensions.extend(
        tx,
        wanted.offer.tight,
        owner=wanted.owner,
        usd=wanted.offer.usd,
        tokens=wanted.offer.tokens,
        at_most_per_month=wanted.offer.at_most_per_month,
    )


async def _close(
    tx: Transaction, work: Work, run: Run, approval: Approval, wanted: Offered
) -> None:
    """The approval is used up by what has just been done, and the run goes on."""
    if not await approvals.consume(tx, approval):
        raise LostClaim(f"Approval {approval.id} is not open any more")
    offer = wanted.offer
    await approvals.move(
        tx,
        approval.id,
        before=[ApprovalState.EXECUTING],
        after=ApprovalState.EXECUTED,
        result={"outcome": "done", "content": {"extended": True}},
    )
    await redraw(tx, work.workspace, approval, "Done: the run goes on", run=run)
    await audit.append(
        tx,
        work.workspace,
        "budget.extended",
        actor=work.agent,
        subject=approval.id,
        run_id=run.id,
        hash=approval.hash,
        axis=offer.tight.axis,
        span=offer.tight.span,
        period=str(offer.tight.period),
        budget=str(offer.tight.subject),
        usd=str(offer.usd),
        tokens=offer.tokens,
    )
    await runs.set_state(tx, run.id, RunState.WORKING)


async def void(tx: Transaction, work: Work, run: Run, approval: Approval, reason: str) -> None:
    """An ask that does not hold any more; the step is tried anew, and asks anew if it must."""
    open_states = [ApprovalState.PENDING, ApprovalState.APPROVED]
    if not await approvals.move(
        tx, approval.id, before=open_states, after=ApprovalState.STALE, reason=reason
    ):
        raise LostClaim(f"Approval {approval.id} has changed meanwhile")
    await redraw(tx, work.workspace, approval, f"Stale: {reason}", run=run)
    await audit.append(
        tx,
        work.workspace,
        "approval.stale",
        actor=SYSTEM,
        subject=approval.id,
        run_id=run.id,
        reason=reason,
        asked_anew=False,
    )
    await runs.set_state(tx, run.id, RunState.WORKING)


async def withdraw_stale(
    database: Database, work: Work, run: Run, approval: Approval, *, reason: str
) -> None:
    """Close an undecided ask for what nobody would be asked for now.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        await void(tx, work, run, approval, reason)
