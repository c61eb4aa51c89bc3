"""Usage: what was spent this month and today, against what may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from fastapi import APIRouter

from openloop.api.authentication import Seeing
from openloop.api.kit import Kit
from openloop.api.paging import position
from openloop.domain.budget import Axis, Span
from openloop.domain.manifest_budget import OnExceeded
from openloop.storage import usage as spending
from openloop.storage.usage import ModelUsage

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.storage.usage import Budget

router = APIRouter(tags=["usage"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One budget: of this month, of today, or of a run that is not over.

    `name` is the agent's, the place's or the person's. What may be used is the limit and what
    approvals have added (`extra`); None where nothing limits it. `told_percent` is the highest
    threshold that people were told of, `projected_usd` what the month comes to if it goes on like
    this.
    """

    axis: Axis
    span: Span
    period: date
    subject: UUID
    name: str
    on_exceeded: OnExceeded
    limit_usd: Decimal | None
    extra_usd: Decimal
    settled_usd: Decimal
    reserved_usd: Decimal
    overrun_usd: Decimal
    remaining_usd: Decimal | None
    projected_usd: Decimal | None
    limit_tokens: int | None
    extra_tokens: int
    settled_tokens: int
    reserved_tokens: int
    overrun_tokens: int
    remaining_tokens: int | None
    told_percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A calendar month in UTC, in US dollars and tokens.

    `assumed_calls` are the calls whose usage nobody knows, each charged at all that was set aside.
    """

    month: date
    budgets: tuple[BudgetLine, ...]
    models: tuple[ModelUsage, ...]
    assumed_calls: int
    assumed_usd: Decimal
    as_of: str


@router.get("/api/v1/usage", operation_id="get_usage")
@router.get("/usage", operation_id="get_current_usage")
async def get_usage(kit: Kit, caller: Seeing) -> Usage:
    """This month's spend by budget, and by agent and model."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of, now = await position(tx), await tx.now()
        month = await spending.month(tx)
        lines = await spending.list_current(tx)
        models = await spending.list_models(tx)
    return Usage(
        month=month,
        budgets=tuple(_line(line, now) for line in lines),
        models=tuple(models),
        assumed_calls=sum(model.assumed_calls for model in models),
        assumed_usd=sum((model.assumed_usd for model in models), Decimal(0)),
        as_of=as_of,
    )


def _line(line: Budget, now: datetime) -> BudgetLine:
    return BudgetLine(
        axis=line.axis,
        span=line.span,
        period=line.period,
        subject=line.subject,
        name=line.name,
        on_exceeded=line.on_exceeded,
        limit_usd=line.limit_usd,
        extra_usd=line.extra_usd,
        settled_usd=line.settled_usd,
        reserved_usd=line.reserved_usd,
        overrun_usd=line.overrun_usd,
        remaining_usd=line.remaining_usd,
        projected_usd=line.projected_usd(now),
        limit_tokens=line.limit_tokens,
        extra_tokens=line.extra_tokens,
        settled_tokens=line.settled_tokens,
        reserved_tokens=line.reserved_tokens,
        overrun_tokens=line.overrun_tokens,
        remaining_tokens=line.remaining_tokens,
        told_percent=line.told,
    )
