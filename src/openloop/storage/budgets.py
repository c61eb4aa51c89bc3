"""Money: what is set aside for a call, and what it is charged, on every axis at once.

Invariants, for any interleaving and any crash point. A row is the sum of the reservations of its
subject in its span. Where its limit refuses, settled + reserved <= limit + what approvals have added,
at every instant. What a provider bills above its reservation goes to `overrun`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

from openloop.domain.audit import SYSTEM
from openloop.domain.budget import Axis, Span, Tight, Unit
from openloop.domain.ids import ConversationId, ReservationId, RunId, new_id
from openloop.domain.pricing import FEWEST_OUTPUT_TOKENS
from openloop.storage import rows
from openloop.storage.accounts import LIMITS, WHO, limit_parameters

if TYPE_CHECKING:
    from openloop.domain.budget import Limits
    from openloop.domain.model import Usage
    from openloop.domain.pricing import Price
    from openloop.storage.accounts import Account
    from openloop.storage.database import Pending, Transaction

RESERVATION_LEASE_MINUTES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a call may use: the length of the answer, and the money set aside for it.

    With `max_tokens` None nothing was reserved, and the rest names the tightest row. Then `may_wait`
    says that only money set aside for other calls is in the way: it may turn out not to be needed;
    `missing` that a row has to be counted first; `paused` that no money is in the way at all.
    """

    axis: Axis
    span: Span
    subject: UUID
    period: date
    unit: Unit
    max_tokens: int | None
    amount_usd: Decimal
    may_wait: bool
    missing: bool
    paused: bool

    @property
    def tight(self) -> Tight:
        """The tightest row."""
        return Tight(
            axis=self.axis,
            span=self.span,
            subject=self.subject,
            period=self.period,
            unit=self.unit,
        )


_RESERVE: LiteralString = f"""
    WITH {WHO}, {LIMITS},
    locked AS (
        SELECT b.axis, b.span, b.subject, b.period, b.is_counted,
            l.usd AS limit_usd, l.tokens AS limit_tokens, l.on_exceeded,
            l.usd + b.extra_usd - b.settled_usd AS unspent_usd, b.reserved_usd,
            l.tokens + b.extra_tokens - b.settled_tokens AS unspent_tokens, b.reserved_tokens
        FROM budgets b LEFT JOIN limits l ON (l.axis, l.span) = (b.axis, b.span)
        WHERE b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s, %(place)s,
                (SELECT principal FROM who)]::uuid[])
          AND b.period = ANY((SELECT periods FROM who)::date[])
          AND openloop.covers(b.span, b.period, (SELECT day FROM who))
        ORDER BY b.axis, b.span FOR UPDATE OF b),
    left_over AS (
        SELECT axis, span, subject, period, on_exceeded,
            openloop.affordable(unspent_usd - reserved_usd, unspent_tokens - reserved_tokens,
                %(input_tokens)s, %(input_price)s, %(output_price)s, %(longest)s) AS now,
            openloop.affordable(unspent_usd, unspent_tokens,
                %(input_tokens)s, %(input_price)s, %(output_price)s, %(longest)s) AS later,
            openloop.affordable(unspent_usd, NULL,
                %(input_tokens)s, %(input_price)s, %(output_price)s, %(longest)s) AS for_usd
        FROM locked WHERE on_exceeded <> 'warn'),
    -- What is used up comes first, and of that what no approval extends.
    tight AS (
        SELECT axis, span, subject, period,
            CASE WHEN later < for_usd THEN 'tokens' ELSE 'usd' END AS unit
        FROM left_over
        ORDER BY later < least(%(fewest)s, %(longest)s) DESC,
            later < least(%(fewest)s, %(longest)s) AND on_exceeded = 'block' DESC, now, later, axis, span
        LIMIT 1),
    found AS MATERIALIZED (
        SELECT (SELECT count(*) FROM limits)
                <> (SELECT count(*) FROM locked WHERE is_counted AND on_exceeded IS NOT NULL) AS missing,
            coalesce((SELECT min(now) FROM left_over), %(longest)s) AS now,
            coalesce((SELECT min(later) FROM left_over), %(longest)s) AS later,
            EXISTS (SELECT FROM pauses p
                    WHERE p.subject = ANY(ARRAY[%(agent_id)s, %(workspace)s]::uuid[])) AS paused),
    planned AS (
        SELECT paused, missing, CASE WHEN NOT missing AND NOT paused
                AND now >= least(%(fewest)s, %(longest)s) THEN now END AS max_tokens,
            missing OR later >= least(%(fewest)s, %(longest)s) AS may_wait
        FROM found),
    priced AS (
        SELECT max_tokens, may_wait, missing, paused, %(input_tokens)s + max_tokens AS amount_tokens,
            coalesce(ceil(%(input_tokens)s * %(input_price)s::numeric
                + max_tokens * %(output_price)s::numeric) / 1000000, 0)::numeric(16, 6) AS amount_usd
        FROM planned),
    spent AS (
        UPDATE budgets b SET reserved_usd = b.reserved_usd + p.amount_usd,
            reserved_tokens = b.reserved_tokens + p.amount_tokens,
            limit_usd = l.limit_usd, limit_tokens = l.limit_tokens,
            on_exceeded = coalesce(l.on_exceeded, 'block'),
            -- Of another limit than before people have been told as far only as it is used up.
            told = CASE WHEN (b.limit_usd, b.limit_tokens) IS NOT DISTINCT FROM (l.limit_usd, l.limit_tokens)
                THEN b.told ELSE least(b.told, openloop.threshold(b.span, coalesce(l.on_exceeded, 'block'),
                    b.settled_usd, l.limit_usd + b.extra_usd,
                    b.settled_tokens, l.limit_tokens + b.extra_tokens)) END
        FROM locked l, priced p
        WHERE (b.subject, b.span, b.period) = (l.subject, l.span, l.period)
          AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s, %(place)s,
                (SELECT principal FROM who)]::uuid[])
          AND b.period = ANY((SELECT periods FROM who)::date[])
          AND p.max_tokens IS NOT NULL
        RETURNING b.axis),
    held AS (
        INSERT INTO reservations (workspace_id, id, run_id, step_seq, epoch, agent_id, model, day, place,
                                  principal, amount_usd, amount_tokens, state, lease_until)
        SELECT %(workspace)s, %(id)s, %(run_id)s, %(seq)s, %(epoch)s, %(agent_id)s, %(model)s,
               w.day, %(place)s, w.principal, p.amount_usd, p.amount_tokens, 'held',
               openloop.now() + make_interval(mins => %(lease)s)
        FROM priced p CROSS JOIN who w WHERE p.max_tokens IS NOT NULL),
    begun AS (
        INSERT INTO steps AS s (workspace_id, run_id, seq, kind, state, epoch, name, input)
        SELECT %(workspace)s, %(run_id)s, %(seq)s, 'model', 'started', %(epoch)s, %(model)s,
               %(step_input)s
        ON CONFLICT (workspace_id, run_id, seq) DO UPDATE
        SET epoch = EXCLUDED.epoch, input = EXCLUDED.input
        WHERE s.state = 'started' AND s.kind = 'model')
    SELECT coalesce(t.axis, 'run') AS axis, coalesce(t.span, 'run') AS span,
        coalesce(t.subject, %(run_id)s) AS subject, coalesce(t.period, date '1970-01-01') AS period,
        coalesce(t.unit, 'usd') AS unit, p.max_tokens, p.amount_usd, p.may_wait, p.missing, p.paused
    FROM priced p LEFT JOIN tight t ON true
"""  # noqa: S608  # constants


async def reserve(
    tx: Transaction,
    account: Account,
    *,
    reservation_id: ReservationId,
    step_seq: int,
    epoch: int,
    model: str,
    price: Price,
    input_tokens: int,
    longest: int,
    limits: Limits,
    step_input: object,
) -> Pending[Reserved]:
    """Journal the model call as started, and set money and tokens aside on every axis or on none.

    One statement over all axes in a fixed order, the last of its transaction and read after the
    commit: the rows of the workspace and the agent are what every run of the installation waits
    for. The length of the answer is the least of `longest` and what the tightest row affords;
    under 256 tokens nothing is reserved. A limit that only warns refuses nothing.
    The limits are those in force now: lowering one takes effect at the next reservation.
    """
    return await tx.ask(
        Reserved,
        _RESERVE,
        {
            **account.parameters,
            **limit_parameters(limits),
            "id": reservation_id,
            "seq": step_seq,
            "epoch": epoch,
            "model": model,
            "input_tokens": input_tokens,
            "input_price": price.input_per_million,
            "output_price": price.output_per_million,
            "longest": longest,
            "fewest": FEWEST_OUTPUT_TOKENS,
            "lease": RESERVATION_LEASE_MINUTES,
            "step_input": rows.json(step_input),
        },
    )


# --- charging ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A reservation that this settlement closed."""

    run_id: RunId
    charged_usd: Decimal


_SETTLE: LiteralString = """
    WITH closed AS (
        UPDATE reservations SET state = 'settled', settled_at = openloop.now(),
            cost_usd = coalesce(%(cost)s::numeric, amount_usd), usage = %(usage)s,
            used_tokens = CASE WHEN %(cost)s::numeric IS NULL THEN amount_tokens
                ELSE coalesce(%(used_tokens)s::bigint, amount_tokens) END,
            assumed = %(cost)s::numeric IS NULL
        WHERE id = %(id)s AND state = 'held'
        RETURNING workspace_id, id, run_id, agent_id, place, principal, day, model,
            amount_usd, cost_usd, amount_tokens, used_tokens, assumed),
    -- Named apart, so that the planner looks rows up by them whatever it knows of the table.
    subjects AS (
        SELECT unnest(ARRAY[agent_id, run_id, workspace_id, place, principal]) AS subject FROM closed),
    periods AS (
        SELECT unnest(ARRAY[day, date_trunc('month', day::timestamp)::date, date '1970-01-01']) AS period
        FROM closed),
    locked AS (
        SELECT b.*, b.settled_usd + least(c.cost_usd, c.amount_usd) AS usd_now,
            b.settled_tokens + least(c.used_tokens, c.amount_tokens) AS tokens_now
        FROM budgets b CROSS JOIN closed c
        WHERE b.subject = ANY(ARRAY(SELECT subject FROM subjects))
          AND b.period = ANY(ARRAY(SELECT period FROM periods))
          AND openloop.covers(b.span, b.period, c.day)
          -- One that is not counted does not know of this reservation; it is counted from all of them.
          AND b.is_counted
        ORDER BY b.axis, b.span FOR UPDATE OF b),
    reached AS (
        SELECT *, openloop.threshold(span, on_exceeded, usd_now, limit_usd + extra_usd,
                                     tokens_now, limit_tokens + extra_tokens) AS percent
        FROM locked),
    booked AS (
        UPDATE budgets b SET reserved_usd = b.reserved_usd - c.amount_usd,
            settled_usd = r.usd_now,
            overrun_usd = b.overrun_usd + greatest(c.cost_usd - c.amount_usd, 0),
            reserved_tokens = b.reserved_tokens - c.amount_tokens,
            settled_tokens = r.tokens_now,
            overrun_tokens = b.overrun_tokens + greatest(c.used_tokens - c.amount_tokens, 0),
            told = greatest(b.told, r.percent)
        FROM reached r, closed c
        WHERE (b.subject, b.span, b.period) = (r.subject, r.span, r.period)
          AND b.subject = ANY(ARRAY(SELECT subject FROM subjects))
          AND b.period = ANY(ARRAY(SELECT period FROM periods))),
    summed AS (
        UPDATE runs r SET cost_usd = r.cost_usd + c.cost_usd,
            input_tokens = r.input_tokens + coalesce((%(usage)s::jsonb->>'input_tokens')::bigint, 0),
            output_tokens = r.output_tokens + coalesce((%(usage)s::jsonb->>'output_tokens')::bigint, 0)
        FROM closed c WHERE r.id = (SELECT run_id FROM closed)),
    crossed AS (SELECT * FROM reached WHERE percent > told),
    told AS (
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        SELECT workspace_id, CASE WHEN assumed THEN 'budget.assumed' ELSE 'budget.overrun' END,
               %(system)s::jsonb, id, run_id, jsonb_build_object('reserved_usd', amount_usd::text,
                   'charged_usd', cost_usd::text, 'model', model)
        FROM closed WHERE assumed OR cost_usd > amount_usd
        UNION ALL
        SELECT r.workspace_id, 'budget.threshold', %(system)s::jsonb, r.subject, c.run_id,
               jsonb_build_object('axis', r.axis, 'span', r.span, 'period', r.period,
                   'percent', r.percent, 'settled_usd', r.usd_now::text,
                   'limit_usd', (r.limit_usd + r.extra_usd)::text,
                   'settled_tokens', r.tokens_now, 'limit_tokens', r.limit_tokens + r.extra_tokens)
        FROM crossed r CROSS JOIN closed c),
    said AS (
        INSERT INTO outbox (workspace_id, id, conversation_id, run_id, op, state)
        SELECT c.workspace_id, %(notice)s, r.conversation_id, r.id,
               jsonb_build_object('op', 'Say', 'markdown', lines.markdown), 'queued'
        FROM (SELECT string_agg(openloop.threshold_notice(axis, span, period, percent, on_exceeded),
                                E'\\n' ORDER BY axis, span) AS markdown FROM crossed) lines
            CROSS JOIN closed c JOIN runs r ON r.id = (SELECT run_id FROM closed)
        WHERE lines.markdown IS NOT NULL)
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
    and told in the audit, as is a charge above the reservation. Where a row reaches 50, 80 or 100 %
    of its limit, that is told once: in the audit, and by a line in the thread.
    Let it be the last statement of its transaction: the budget rows are what everybody waits for.
    """
    return await tx.ask(
        Settled,
        _SETTLE,
        {
            "id": reservation_id,
            "cost": cost_usd,
            "usage": None if usage is None else rows.json(usage),
            "used_tokens": None if usage is None else usage.input_tokens + usage.output_tokens,
            "system": rows.json(SYSTEM),
            "notice": new_id(),
        },
    )


# --- what was left behind ------------------------------------------------------------------------


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
