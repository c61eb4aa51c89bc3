"""Usage: what was spent in a month and what may be, as people read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.budget import Axis, Span, projected_usd
from openloop.domain.ids import AgentId
from openloop.domain.manifest_budget import OnExceeded

if TYPE_CHECKING:
    from openloop.storage.database import Transaction

MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one axis may spend in a span and has spent. Limit None means unlimited.

    `name` is the agent's, place's or person's; `told` is the highest threshold in percent that
    people were told of; `extra` is what approvals have added to the limit.
    """

    axis: Axis
    span: Span
    subject: UUID
    period: date
    name: str = ""
    on_exceeded: OnExceeded
    limit_usd: Decimal | None
    extra_usd: Decimal
    settled_usd: Decimal
    reserved_usd: Decimal
    overrun_usd: Decimal
    limit_tokens: int | None
    extra_tokens: int
    settled_tokens: int
    reserved_tokens: int
    overrun_tokens: int
    told: int

    @property
    def remaining_usd(self) -> Decimal | None:
        """What may still be reserved; never below zero."""
        if self.limit_usd is None:
            return None
        left = self.limit_usd + self.extra_usd - self.settled_usd - self.reserved_usd
        return max(Decimal(0), left)

    @property
    def remaining_tokens(self) -> int | None:
        """The same in tokens."""
        if self.limit_tokens is None:
            return None
        left = self.limit_tokens + self.extra_tokens - self.settled_tokens - self.reserved_tokens
        return max(0, left)

    def projected_usd(self, at: datetime) -> Decimal | None:
        """What the month comes to if it goes on like this; None for other spans."""
        if self.span != "month":
            return None
        return projected_usd(self.settled_usd + self.overrun_usd, month=self.period, at=at)


async def month(tx: Transaction) -> date:
    """The first day of the calendar month, in UTC, by the database clock."""
    return await tx.value("SELECT openloop.month()")


async def list_current(tx: Transaction) -> list[Budget]:
    """The rows of this month and this day, and those of runs that are not over."""
    return await tx.all(
        Budget,
        """
        SELECT b.axis, b.span, b.subject, b.period, b.on_exceeded, b.limit_usd, b.extra_usd,
               b.settled_usd, b.reserved_usd, b.overrun_usd, b.limit_tokens, b.extra_tokens,
               b.settled_tokens, b.reserved_tokens, b.overrun_tokens, b.told,
               coalesce(a.name, p.name, (
                   SELECT min(concat_ws(' ', x.surface, x.name)) FROM bindings x
                   WHERE b.axis = 'place'
                     AND openloop.subject_of(x.surface, x.tenant, x.container) = b.subject),
                   b.label) AS name
        FROM budgets b
            LEFT JOIN agents a ON b.axis = 'agent' AND a.id = b.subject
            LEFT JOIN principals p ON b.axis = 'principal' AND p.id = b.subject
        WHERE b.subject IN (SELECT id FROM runs WHERE state IN ('working', 'waiting'))
           OR (b.span, b.period) IN (('month', openloop.month()), ('day', openloop.day()))
              AND (b.is_counted OR b.label = '' OR p.id IS NOT NULL)
        ORDER BY array_position(ARRAY['workspace', 'agent', 'place', 'principal', 'run'], b.axis),
                 name, b.span DESC
        LIMIT %(most)s
        """,
        {"most": MOST},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """What one agent used of one model in a month.

    `assumed_calls` are those whose usage nobody knows: they are charged at all that was set aside.
    """

    agent_id: AgentId
    agent: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    assumed_calls: int
    assumed_usd: Decimal


async def list_models(tx: Transaction) -> list[ModelUsage]:
    """This month's settled calls by agent and model."""
    return await tx.all(
        ModelUsage,
        """
        SELECT r.agent_id, a.name AS agent, r.model, count(*) AS calls,
               coalesce(sum((r.usage->>'input_tokens')::bigint), 0)::bigint AS input_tokens,
               coalesce(sum((r.usage->>'output_tokens')::bigint), 0)::bigint AS output_tokens,
               sum(r.cost_usd) AS cost_usd, count(*) FILTER (WHERE r.assumed) AS assumed_calls,
               coalesce(sum(r.cost_usd) FILTER (WHERE r.assumed), 0) AS assumed_usd
        FROM reservations r JOIN agents a ON a.id = r.agent_id
        WHERE r.day >= openloop.month() AND r.state = 'settled'
        GROUP BY 1, 2, 3 ORDER BY cost_usd DESC LIMIT %(most)s
        """,
        {"most": MOST},
    )
