"""Usage: what was spent this month, against what may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter

from openloop.api.authentication import Seeing
from openloop.api.kit import Kit
from openloop.api.paging import position
from openloop.api.runs import agent_names
from openloop.storage import budgets
from openloop.storage.budgets import ModelUsage

router = APIRouter(tags=["usage"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One budget of this month. `name` is the agent's; empty for the whole workspace."""

    axis: str
    subject: UUID
    name: str
    limit_usd: Decimal | None
    settled_usd: Decimal
    reserved_usd: Decimal
    overrun_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A calendar month in UTC, in US dollars."""

    month: date
    budgets: tuple[BudgetLine, ...]
    models: tuple[ModelUsage, ...]
    as_of: str


@router.get("/api/v1/usage", operation_id="get_usage")
@router.get("/usage", operation_id="get_current_usage")
async def get_usage(kit: Kit, caller: Seeing) -> Usage:
    """This month's spend by budget, and by agent and model."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        month = await budgets.month(tx)
        lines = await budgets.list_current(tx)
        models = await budgets.list_usage(tx)
        names = await agent_names(tx)
    return Usage(
        month=month,
        budgets=tuple(
            BudgetLine(
                axis=line.axis,
                subject=line.subject,
                name=names.get(str(line.subject), "") if line.axis == "agent" else "",
                limit_usd=line.limit_usd,
                settled_usd=line.settled_usd,
                reserved_usd=line.reserved_usd,
                overrun_usd=line.overrun_usd,
            )
            for line in lines
        ),
        models=tuple(models),
        as_of=as_of,
    )
