"""Money: one row per axis, subject and period, and the reservations against them.

Invariant: settled + reserved <= limit on every row at every instant, for any interleaving and any
crash point. What a provider bills above its reservation goes to `overrun_usd`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

from openloop.domain.audit import SYSTEM
from openloop.domain.ids import AgentId, ConversationId, ReservationId, RunId, WorkspaceId
from openloop.domain.pricing import FEWEST_OUTPUT_TOKENS
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.model import Usage
    from openloop.domain.pricing import Price
    from openloop.storage.database import Pending, Transaction

RESERVATION_LEASE_MINUTES = 10


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
class Limits:
    """The limits in force for a run, per axis; None means unlimited."""

    workspace_usd: Decimal | None
    agent_usd: Decimal | None
    run_usd: Decimal | None


async def open_rows(
    tx: Transaction, workspace: WorkspaceId, *, agent_id: AgentId, run_id: RunId
) -> None:
    """Make the rows that a call of this run counts against; those that are there are not locked."""
    await tx.send(
        """
        INSERT INTO budgets (workspace_id, axis, subject, period)
        SELECT %(workspace)s, axis, subject, period FROM openloop.budget_keys(
            %(workspace)s, %(agent_id)s, %(run_id)s, openloop.month()) k
        -- Looked for first: a conflict waits for whoever is updating the row.
        WHERE NOT EXISTS (
            SELECT FROM budgets b WHERE (b.axis, b.subject, b.period) = (k.axis, k.subject, k.period)
            AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s]::uuid[]))
        ON CONFLICT DO NOTHING
        """,
        {"workspace": workspace, "agent_id": agent_id, "run_id": run_id},
    )


async def month(tx: Transaction) -> date:
    """The first day of the calendar month, in UTC, by the database clock."""
    return await tx.value("SELECT openloop.month()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a call may use: the length of the answer, and the money set aside for it.

    With `max_tokens` None nothing was reserved, and `axis` is the tightest. Then `may_wait` says that
    only money set aside for other calls is in the way: it may turn out not to be needed.
    """

    axis: str
    max_tokens: int | None
    amount_usd: Decimal
    may_wait: bool


async def reserve(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    reservation_id: ReservationId,
    run_id: RunId,
    step_seq: int,
    epoch: int,
    agent_id: AgentId,
    model: str,
    price: Price,
    input_tokens: int,
    longest: int,
    limits: Limits,
    step_input: object,
) -> Pending[Reserved]:
    """Journal the model call as started, and set money aside on every axis or on none.

    One statement over all axes in a fixed order, the last of its transaction and read after the
    commit: the rows of the workspace and the agent are what every run of the installation waits
    for. The length of the answer is the least of `longest` and what the tightest axis affords;
    under 256 tokens nothing is reserved.
    The limits are those in force now: lowering one takes effect at the next reservation.
    """
    return await tx.ask(
        Reserved,
        """
        WITH keys AS (
            SELECT axis, subject, period, CASE axis WHEN 'agent' THEN %(agent_usd)s::numeric
                WHEN 'run' THEN %(run_usd)s::numeric ELSE %(workspace_usd)s::numeric END AS limit_now
            FROM openloop.budget_keys(%(workspace)s, %(agent_id)s, %(run_id)s, openloop.month())),
        locked AS (
            SELECT b.axis, b.subject, b.period, k.limit_now, k.limit_now - b.settled_usd AS unspent,
                   k.limit_now - b.settled_usd - b.reserved_usd AS remaining
            FROM budgets b JOIN keys k USING (axis, subject, period)
            WHERE b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s]::uuid[])
            ORDER BY b.axis FOR UPDATE OF b),
        tight AS (
            SELECT (array_agg(axis ORDER BY remaining NULLS LAST))[1] AS axis, count(*) = 3 AS complete,
                   openloop.affordable_tokens(min(remaining), %(input_tokens)s, %(input_price)s,
                                              %(output_price)s, %(longest)s) AS now,
                   openloop.affordable_tokens(min(unspent), %(input_tokens)s, %(input_price)s,
                                              %(output_price)s, %(longest)s) AS later
            FROM locked),
        planned AS (
            SELECT axis, CASE WHEN complete AND now >= least(%(fewest)s, %(longest)s) THEN now END
                       AS max_tokens,
                   NOT complete OR later >= least(%(fewest)s, %(longest)s) AS may_wait
            FROM tight),
        priced AS (
            SELECT axis, max_tokens, may_wait, coalesce(ceil(%(input_tokens)s * %(input_price)s::numeric
                + max_tokens * %(output_price)s::numeric) / 1000000, 0)::numeric(16, 6) AS amount_usd
            FROM planned),
        spent AS (
            UPDATE budgets b SET reserved_usd = b.reserved_usd + p.amount_usd, limit_usd = l.limit_now
            FROM locked l, priced p
            WHERE (b.axis, b.subject, b.period) = (l.axis, l.subject, l.period)
              AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s]::uuid[])
              AND p.max_tokens IS NOT NULL
            RETURNING b.axis),
        held AS (
            INSERT INTO reservations (workspace_id, id, run_id, step_seq, epoch, agent_id, model,
                                      period, amount_usd, state, lease_until)
            SELECT %(workspace)s, %(id)s, %(run_id)s, %(seq)s, %(epoch)s, %(agent_id)s, %(model)s,
                   openloop.month(), amount_usd, 'held',
                   openloop.now() + make_interval(mins => %(lease)s)
            FROM priced WHERE max_tokens IS NOT NULL),
        begun AS (
            INSERT INTO steps AS s (workspace_id, run_id, seq, kind, state, epoch, name, input)
            SELECT %(workspace)s, %(run_id)s, %(seq)s, 'model', 'started', %(epoch)s, %(model)s,
                   %(step_input)s
            ON CONFLICT (workspace_id, run_id, seq) DO UPDATE
            SET epoch = EXCLUDED.epoch, input = EXCLUDED.input
            WHERE s.state = 'started' AND s.kind = 'model')
        SELECT axis, max_tokens, amount_usd, may_wait FROM priced
        """,
        {
            "workspace": workspace,
            "id": reservation_id,
            "run_id": run_id,
            "seq": step_seq,
            "epoch": epoch,
            "agent_id": agent_id,
            "model": model,
            "input_tokens": input_tokens,
            "input_price": price.input_per_million,
            "output_price": price.output_per_million,
            "longest": longest,
            "fewest": FEWEST_OUTPUT_TOKENS,
            "lease": RESERVATION_LEASE_MINUTES,
            "agent_usd": limits.agent_usd,
            "run_usd": limits.run_usd,
            "workspace_usd": limits.workspace_usd,
            "step_input": rows.json(step_input),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A reservation that this settlement closed."""

    run_id: RunId
    charged_usd: Decimal


_SETTLE: LiteralString = """
    WITH closed AS (
        UPDATE reservations SET state = 'settled', settled_at = openloop.now(),
            cost_usd = coalesce(%(cost)s::numeric, amount_usd), usage = %(usage)s,
            assumed = %(cost)s::numeric IS NULL
        WHERE id = %(id)s AND state = 'held'
        RETURNING workspace_id, id, run_id, agent_id, model, period, amount_usd, cost_usd, assumed),
    -- Named apart, so that the planner looks rows up by them whatever it knows of the table.
    subjects AS (
        SELECT unnest(ARRAY[agent_id, run_id, workspace_id]) AS subject FROM closed),
    locked AS (
        SELECT b.axis, b.subject, b.period FROM closed c
            CROSS JOIN LATERAL openloop.budget_keys(c.workspace_id, c.agent_id, c.run_id, c.period) k
            JOIN budgets b ON (b.workspace_id, b.axis, b.subject, b.period)
                            = (c.workspace_id, k.axis, k.subject, k.period)
        WHERE b.subject = ANY(ARRAY(SELECT subject FROM subjects))
        ORDER BY b.axis FOR UPDATE OF b),
    booked AS (
        UPDATE budgets b SET reserved_usd = b.reserved_usd - c.amount_usd,
            settled_usd = b.settled_usd + least(c.cost_usd, c.amount_usd),
            overrun_usd = b.overrun_usd + greatest(c.cost_usd - c.amount_usd, 0)
        FROM locked l, closed c
        WHERE (b.axis, b.subject, b.period) = (l.axis, l.subject, l.period)
          AND b.subject = ANY(ARRAY(SELECT subject FROM subjects))),
    summed AS (
        UPDATE runs r SET cost_usd = r.cost_usd + c.cost_usd,
            input_tokens = r.input_tokens + coalesce((%(usage)s::jsonb->>'input_tokens')::bigint, 0),
            output_tokens = r.output_tokens + coalesce((%(usage)s::jsonb->>'output_tokens')::bigint, 0)
        FROM closed c WHERE r.id = (SELECT run_id FROM closed)),
    told AS (
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        SELECT workspace_id, CASE WHEN assumed THEN 'budget.assumed' ELSE 'budget.overrun' END,
               %(system)s, id, run_id, jsonb_build_object('reserved_usd', amount_usd::text,
                   'charged_usd', cost_usd::text, 'model', model)
        FROM closed WHERE assumed OR cost_usd > amount_usd)
    SELECT run_id, cost_usd AS charged_usd FROM closed
"""


async def settle(
    tx: Transaction,
    reservation_id: ReservationId,
    *,
    cost_usd: Decimal | None,
    usage: Usage | None,
) -> Pending[Settled]:
    """Turn a reservation into a charge, on every axis and on its run; no row where it was settled.

    `cost_usd` None means that nobody knows: the whole reservation is charged, marked as assumed
    and told in the audit, as is a charge above the reservation. Let it be the last statement of
    its transaction: the budget rows are what everybody waits for.
    """
    return await tx.ask(
        Settled,
        _SETTLE,
        {
            "id": reservation_id,
            "cost": cost_usd,
            "usage": None if usage is None else rows.json(usage),
            "system": rows.json(SYSTEM),
        },
    )


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


async def list_lapsed(tx: Transaction, *, limit: int) -> list[tuple[ReservationId, ConversationId]]:
    """Reservations whose lease ran out, with their conversations: nobody will say what was used."""
    found = await tx.tuples(
        """
        SELECT v.id, r.conversation_id FROM reservations v JOIN runs r ON r.id = v.run_id
        WHERE v.state = 'held' AND v.lease_until < openloop.now()
        ORDER BY v.lease_until LIMIT %(limit)s
        """,
        {"limit": limit},
    )
    return [(ReservationId(id), ConversationId(conversation)) for id, conversation in found]


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
