"""A limit that is reached: people are asked to extend it where a manifest offers that, or the run lands."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import rfc8785

from openloop.actions import claims, extending, model_calls
from openloop.actions.calls import Held
from openloop.actions.extending import Offered
from openloop.actions.waiting import look_after
from openloop.domain import budget
from openloop.domain.approval import ApprovalState
from openloop.domain.budget import EXTEND, Tight
from openloop.domain.manifest_parts import format_dollars
from openloop.domain.model import ToolCall
from openloop.domain.surface import Card, Field
from openloop.domain.tool import Effect
from openloop.domain.verdict import Demand, Hold
from openloop.runtime import binding
from openloop.runtime.landing import land

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.actions.model_calls import BudgetExhausted
    from openloop.domain.approval import Approval
    from openloop.domain.budget import Offer
    from openloop.domain.run import Run
    from openloop.runtime.kit import Kit

CODE = "budget_exhausted"
NOT_EXTENDED = {
    ApprovalState.DENIED: "and a person refused to extend it.",
    ApprovalState.EXPIRED: "and nobody extended it in time.",
    ApprovalState.WITHDRAWN: "and the request to extend it was withdrawn.",
}


async def exhausted(kit: Kit, work: Work, run: Run, seq: int, refusal: BudgetExhausted) -> bool:
    """No budget affords the call of this step: ask for more where that is offered, or land."""
    tight = refusal.tight
    await model_calls.tell_used_up(kit.database, work, run, tight)
    asked = await extending.ask(
        kit.database,
        kit.configuration,
        work,
        run,
        seq,
        offered=lambda governing: offered(governing, work, run, seq, tight),
    )
    if asked is not None:
        await kit.courier.forward(work.claim.ref, asked, work.conversation.thread)
        return False
    reason = f"{tight} does not afford another step."
    return await land(kit, work, run, reason=reason, code=refusal.code)


def find_ask(work: Work, seq: int) -> Approval | None:
    """The extension that was asked for so that the model call of this step can be made."""
    return next(
        (
            each
            for each in work.approvals
            if each.tool == EXTEND
            and each.step_seq == seq
            and each.state is not ApprovalState.STALE
        ),
        None,
    )


async def after_ask(kit: Kit, work: Work, run: Run, approval: Approval) -> bool | None:
    """Do what an ask for an extension calls for; None where the model call can be made.

    Else True once the conversation was let go, as `advance` has it.
    """
    tight = tight_of(approval)
    if (reason := NOT_EXTENDED.get(approval.state)) is not None:
        reason = f"{tight} does not afford another step, {reason}"
        return await land(kit, work, run, reason=reason, code=CODE)
    if approval.state is ApprovalState.APPROVED:
        await extending.carry_out(
            kit.database,
            kit.configuration,
            work,
            run,
            approval,
            offered=lambda governing: offered(governing, work, run, approval.step_seq, tight),
        )
        await kit.courier.drain(work.claim.ref)
        return False
    if approval.state is ApprovalState.PENDING:
        return await _wait(kit, work, run, approval, tight)
    return None


async def _wait(kit: Kit, work: Work, run: Run, approval: Approval, tight: Tight) -> bool:
    assert work.governing is not None  # noqa: S101  # read together with the run
    current = offered(work.governing, work, run, approval.step_seq, tight)
    ends_at = tight.ends_at
    async with kit.database.transaction(work.workspace) as tx:
        is_over = ends_at is not None and await tx.now() >= ends_at
    if is_over or current is None or current.held.hash != approval.hash:
        reason = "its time is over" if is_over else "the budget has changed since it was asked"
        await extending.withdraw_stale(kit.database, work, run, approval, reason=reason)
        await kit.courier.drain(work.claim.ref)
        return False
    step = next(step for step in work.steps if step.seq == approval.step_seq)
    look = await look_after(
        kit.database,
        kit.configuration,
        work,
        run,
        step,
        approval,
        recheck=lambda _, __: None,
    )
    if look.has_posted:
        await kit.courier.drain(work.claim.ref)
    if look.again_at is None:
        return False
    wake_at = look.again_at if ends_at is None else min(look.again_at, ends_at)
    return await claims.park(kit.database, work, run, wake_at=wake_at)


# --- what is asked -------------------------------------------------------------------------------


def offered(governing: Governing, work: Work, run: Run, seq: int, tight: Tight) -> Offered | None:
    """The extension that the manifests in force offer at a limit, with the bytes that bind it."""
    offer = budget.offer(tight, governing.live, governing.workspace)
    if offer is None:
        return None
    demand = Demand(rule=offer.rule, approvers=offer.approvers)
    hold = Hold(rule=offer.rule, demands=(demand,), expires_hours=offer.expires_hours)
    solo_mode = governing.workspace.spec.solo_mode
    arguments = rfc8785.dumps(_arguments(offer))  # pyright: ignore[reportArgumentType]
    conditions: dict[str, object] = {
        "grant": EXTEND,
        "approvers": sorted(offer.approvers),
        "at_most_per_month": offer.at_most_per_month,
        "expires_hours": offer.expires_hours,
        "limit": _limit(governing, tight),
        "solo_mode": solo_mode,
        "conversation": str(work.conversation.id),
    }
    return Offered(
        offer=offer,
        owner=run.agent_id if offer.is_agents else work.workspace,
        held=Held(
            seq=seq,
            call=ToolCall(id="", name=EXTEND, arguments=arguments.decode()),
            rule=hold.rule,
            effect=Effect.WRITE,
            permission=EXTEND,
            arguments=arguments,
            preconditions=conditions,
            hash=binding.digest(EXTEND, arguments, conditions),
            card=_card(offer, hold, solo_mode=solo_mode),
            demands=hold.demands,
            expires_hours=hold.expires_hours,
            may_edit=False,
            solo_mode=solo_mode,
        ),
    )


def _limit(governing: Governing, tight: Tight) -> str:
    found = (
        limit
        for limit in budget.limits_of(governing.live, governing.workspace)
        if (limit.axis, limit.span) == (tight.axis, tight.span)
    )
    return str(next(found, None))


def _arguments(offer: Offer) -> dict[str, object]:
    """What an approval of it says, all of it: whose limit, for which time, and by how much."""
    tight = offer.tight
    return {
        "axis": tight.axis,
        "subject": str(tight.subject),
        "span": tight.span,
        "period": str(tight.period),
        "unit": tight.unit,
        "usd": str(offer.usd),
        "tokens": offer.tokens,
    }


def tight_of(approval: Approval) -> Tight:
    """The row that an ask was about."""
    said: dict[str, Any] = orjson.loads(approval.arguments)
    return Tight(
        axis=said["axis"],
        span=said["span"],
        subject=UUID(said["subject"]),
        period=date.fromisoformat(said["period"]),
        unit=said["unit"],
    )


def _card(offer: Offer, hold: Hold, *, solo_mode: bool) -> Card:
    more = f"${format_dollars(offer.usd)}" if offer.usd > Decimal(0) else f"{offer.tokens:,} tokens"
    budget_name = str(offer.tight)
    times = "once" if offer.at_most_per_month == 1 else f"{offer.at_most_per_month} times"
    return Card(
        title=f"Extend {budget_name[0].lower()}{budget_name[1:]} by {more}?",
        fields=(
            Field(label="Budget", value=budget_name),
            Field(label="Adds", value=more),
            Field(label="For", value=str(offer.tight.subject)),
        ),
        notes=(
            f"At most {times} a month",
            *binding.notes(hold, solo_mode=solo_mode),
        ),
    )
