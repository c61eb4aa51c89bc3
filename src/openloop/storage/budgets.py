"""Money: one row per axis, subject and period, and the reservations against them.

Invariant: settled + reserved <= limit on every row at every instant, for any interleaving and any
crash point. What a provider bills above its reservation goes to `overrun_usd`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.ids import AgentId, ReservationId, RunId, WorkspaceId
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.model import Usage
    from openloop.storage.database import Transaction

RESERVATION_LEASE_MINUTES = 10
NO_PERIOD = date(1970, 1, 1)
"""The period of the run axis: a run is its own period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one axis may spend in a period and has spent. US dollars; limit None means unlimited."""

    axis: str
    subject: UUID
    period: date
    limit_usd: Decimal | None
    settled_usd: Decimal
    reserved_usd: Decimal
    overrun_usd: Decimal

    @property
    def remaining_usd(self) -> Decimal | None:
        """What may still be reserved; never below zero."""
        if self.limit_usd is None:
            return None
        return max(Decimal(0), self.limit_usd - self.settled_usd - self.reserved_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money set aside for one attempt at one model call."""

    id: ReservationId
    run_id: RunId
    step_seq: int
    epoch: int
    agent_id: AgentId
    model: str
    period: date
    amount_usd: Decimal
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits in force for a run, per axis; None means unlimited."""

    workspace_usd: Decimal | None
    agent_usd: Decimal | None
    run_usd: Decimal | None


async def lock(
    tx: Transaction, workspace: WorkspaceId, *, agent_id: AgentId, run_id: RunId, limits: Limits
) -> list[Budget]:
    """The rows that a call of this run counts against, locked in a fixed order.

    They are made where they are missing and take the limits in force now: lowering a limit takes
    effect at the next reservation.
    """
    return await tx.all(
        Budget,
        """
        INSERT INTO budgets AS b (workspace_id, axis, subject, period, limit_usd)
        VALUES (%(workspace)s, 'agent', %(agent_id)s, %(month)s, %(agent_usd)s),
               (%(workspace)s, 'run', %(run_id)s, %(none)s, %(run_usd)s),
               (%(workspace)s, 'workspace', %(workspace)s, %(month)s, %(workspace_usd)s)
        ON CONFLICT (workspace_id, axis, subject, period) DO UPDATE SET limit_usd = EXCLUDED.limit_usd
        RETURNING axis, subject, period, limit_usd, settled_usd, reserved_usd, overrun_usd
        """,
        {
            "workspace": workspace,
            "agent_id": agent_id,
            "run_id": run_id,
            "month": await month(tx),
            "none": NO_PERIOD,
            "agent_usd": limits.agent_usd,
            "run_usd": limits.run_usd,
            "workspace_usd": limits.workspace_usd,
        },
    )


async def month(tx: Transaction) -> date:
    """The first day of the calendar month, in UTC, by the database clock."""
    return await tx.value("SELECT date_trunc('month', openloop.now() AT TIME ZONE 'UTC')::date")


async def reserve(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    budgets: list[Budget],
    reservation_id: ReservationId,
    run_id: RunId,
    step_seq: int,
    epoch: int,
    agent_id: AgentId,
    model: str,
    amount_usd: Decimal,
) -> bool:
    """Set money aside on every axis, or on none; the caller holds the rows through `lock`.

    The condition is checked again in the statement itself: a caller that computed the amount from
    stale rows reserves nothing.
    """
    changed = await tx.run(
        """
        UPDATE budgets SET reserved_usd = reserved_usd + %(amount)s
        WHERE (axis, subject, period) IN (SELECT * FROM unnest(%(axes)s::text[], %(subjects)s::uuid[],
                                                              %(periods)s::date[]))
          AND (limit_usd IS NULL OR settled_usd + reserved_usd + %(amount)s <= limit_usd)
        """,
        {"amount": amount_usd, **_keys(budgets)},
    )
    if changed != len(budgets):
        return False
    period = next(b.period for b in budgets if b.axis == "agent")
    await tx.run(
        """
        INSERT INTO reservations (workspace_id, id, run_id, step_seq, epoch, agent_id, model, period,
                                  amount_usd, state, lease_until)
        VALUES (%(workspace)s, %(id)s, %(run_id)s, %(step_seq)s, %(epoch)s, %(agent_id)s, %(model)s,
                %(period)s, %(amount)s, 'held', openloop.now() + make_interval(mins => %(lease)s))
        """,
        {
            "workspace": workspace,
            "id": reservation_id,
            "run_id": run_id,
            "step_seq": step_seq,
            "epoch": epoch,
            "agent_id": agent_id,
            "model": model,
            "period": period,
            "amount": amount_usd,
            "lease": RESERVATION_LEASE_MINUTES,
        },
    )
    return True


async def settle(
    tx: Transaction,
    reservation_id: ReservationId,
    *,
    cost_usd: Decimal | None,
    usage: Usage | None,
    assumed: bool,
) -> Reservation | None:
    """Turn a reservation into a charge; None where somebody else settled it already.

    `cost_usd` None means the whole reservation (usage unknown).
    """
    reservation = await tx.find(
        Reservation,
        """
        UPDATE reservations SET state = 'settled', settled_at = openloop.now(),
            cost_usd = coalesce(%(cost)s, amount_usd), usage = %(usage)s, assumed = %(assumed)s
        WHERE id = %(id)s AND state = 'held'
        RETURNING id, run_id, step_seq, epoch, agent_id, model, period, amount_usd, state
        """,
        {
            "id": reservation_id,
            "cost": cost_usd,
            "usage": None if usage is None else rows.json(usage),
            "assumed": assumed,
        },
    )
    if reservation is None:
        return None
    charged = reservation.amount_usd if cost_usd is None else cost_usd
    await tx.run(
        """
        UPDATE budgets SET reserved_usd = reserved_usd - %(amount)s,
            settled_usd = settled_usd + least(%(charged)s, %(amount)s),
            overrun_usd = overrun_usd + greatest(%(charged)s - %(amount)s, 0)
        WHERE (axis, subject, period) IN (
            SELECT * FROM (VALUES ('agent', %(agent_id)s::uuid, %(period)s::date),
                                  ('run', %(run_id)s::uuid, %(none)s::date),
                                  ('workspace', current_setting('openloop.workspace')::uuid,
                                   %(period)s::date)) AS keys)
        """,
        {
            "amount": reservation.amount_usd,
            "charged": charged,
            "agent_id": reservation.agent_id,
            "run_id": reservation.run_id,
            "period": reservation.period,
            "none": NO_PERIOD,
        },
    )
    return reservation


async def find_held(tx: Transaction, run_id: RunId, step_seq: int) -> list[ReservationId]:
    """Reservations of a step that an earlier claim left behind."""
    found = await tx.tuples(
        """
        SELECT id FROM reservations
        WHERE run_id = %(run_id)s AND step_seq = %(seq)s AND state = 'held'
        """,
        {"run_id": run_id, "seq": step_seq},
    )
    return [ReservationId(row[0]) for row in found]


async def list_lapsed(tx: Transaction, *, limit: int) -> list[ReservationId]:
    """Reservations whose lease ran out: nobody will say what the call used."""
    found = await tx.tuples(
        """
        SELECT id FROM reservations WHERE state = 'held' AND lease_until < openloop.now()
        ORDER BY lease_until LIMIT %(limit)s
        """,
        {"limit": limit},
    )
    return [ReservationId(row[0]) for row in found]


async def list_current(tx: Transaction) -> list[Budget]:
    """This month's rows of the workspace and its agents."""
    return await tx.all(
        Budget,
        """
        SELECT axis, subject, period, limit_usd, settled_usd, reserved_usd, overrun_usd FROM budgets
        WHERE period = %(month)s AND axis IN ('workspace', 'agent') ORDER BY axis DESC, subject LIMIT 500
        """,
        {"month": await month(tx)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """What one agent used of one model in a month."""

    agent_id: AgentId
    agent: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    assumed_calls: int


async def list_usage(tx: Transaction) -> list[ModelUsage]:
    """This month's settled calls by agent and model."""
    return await tx.all(
        ModelUsage,
        """
        SELECT r.agent_id, a.name AS agent, r.model, count(*) AS calls,
               coalesce(sum((r.usage->>'input_tokens')::bigint), 0)::bigint AS input_tokens,
               coalesce(sum((r.usage->>'output_tokens')::bigint), 0)::bigint AS output_tokens,
               sum(r.cost_usd) AS cost_usd, count(*) FILTER (WHERE r.assumed) AS assumed_calls
        FROM reservations r JOIN agents a ON a.id = r.agent_id
        WHERE r.period = %(month)s AND r.state = 'settled'
        GROUP BY 1, 2, 3 ORDER BY cost_usd DESC LIMIT 500
        """,
        {"month": await month(tx)},
    )


def _keys(budgets: list[Budget]) -> dict[str, object]:
    return {
        "axes": [b.axis for b in budgets],
        "subjects": [b.subject for b in budgets],
        "periods": [b.period for b in budgets],
    }
