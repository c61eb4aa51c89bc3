"""Accounts: which budget rows a call counts against, and how those rows come to be.

A row that is there is the sum of the reservations of its subject in its span, and every call keeps it
up, whatever limits are in force. A row that a limit needs and that is not there is counted from the
reservations, while nothing is reserved or settled in its workspace: whoever does that holds off
pauses, and with them this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from openloop.domain.budget import subject_of
from openloop.storage import pauses

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.budget import Limits
    from openloop.domain.ids import AgentId, RunId, WorkspaceId
    from openloop.domain.surface import Actor, Place
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose budgets a call counts against. `principal` is who asks, where their id there is ours."""

    workspace: WorkspaceId
    agent_id: AgentId
    run_id: RunId
    place: Place
    requester: Actor
    principal: UUID | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """What names it in a statement."""
        place, who = self.place, self.requester
        return {
            "workspace": self.workspace,
            "agent_id": self.agent_id,
            "run_id": self.run_id,
            "place": subject_of(place.surface, place.tenant, place.container),
            "principal": self.principal,
            "surface": who.surface,
            "tenant": who.tenant,
            "person": who.id,
            "unlinked": subject_of(who.surface, who.id),
        }


# Who asks is the principal that `principals.find_any_by_identity` finds, or else a subject of its own.
WHO: LiteralString = """
    who AS MATERIALIZED (
        SELECT day, ARRAY[day, date_trunc('month', day::timestamp)::date, date '1970-01-01'] AS periods,
            coalesce(%(principal)s::uuid,
                (SELECT i.principal_id FROM identities i
                 WHERE i.external_id = %(person)s AND i.surface = %(surface)s
                   AND i.tenant IN (%(tenant)s, '')
                 ORDER BY i.origin = 'manifest' DESC, i.tenant DESC LIMIT 1),
                %(unlinked)s) AS principal
        FROM openloop.day() AS day)
"""
LIMITS: LiteralString = """
    limits AS MATERIALIZED (
        SELECT * FROM unnest(%(axes)s::text[], %(spans)s::text[], %(usd)s::numeric[],
                             %(tokens)s::bigint[], %(on_exceeded)s::text[])
            AS l (axis, span, usd, tokens, on_exceeded))
"""


def limit_parameters(limits: Limits) -> dict[str, object]:
    """What `LIMITS` is filled with."""
    return {
        "axes": [limit.axis for limit in limits],
        "spans": [limit.span for limit in limits],
        "usd": [limit.usd for limit in limits],
        "tokens": [limit.tokens for limit in limits],
        "on_exceeded": [limit.on_exceeded for limit in limits],
    }


async def open_rows(
    tx: Transaction, workspace: WorkspaceId, *, agent_id: AgentId, run_id: RunId
) -> None:
    """Make the rows that every call of this run counts against; those that are there are not locked."""
    await tx.send(
        """
        INSERT INTO budgets (workspace_id, axis, subject, span, period)
        SELECT %(workspace)s, axis, subject, span, period FROM openloop.budget_keys(
            %(workspace)s, %(agent_id)s, %(run_id)s, openloop.month()) k
        -- Looked for first: a conflict waits for whoever is updating the row.
        WHERE NOT EXISTS (
            SELECT FROM budgets b WHERE (b.subject, b.span, b.period) = (k.subject, k.span, k.period)
            AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s]::uuid[]))
        ON CONFLICT DO NOTHING
        """,
        {"workspace": workspace, "agent_id": agent_id, "run_id": run_id},
    )


async def count_rows(tx: Transaction, account: Account, limits: Limits) -> None:
    """Make the rows that these limits need and count them: what was settled and is held in their span.

    A transaction of its own. First it waits until nobody reserves or settles in the workspace, and
    whoever begins later waits for it. A row that somebody else changes is left for the next try.
    """
    await pauses.await_intents(tx)
    place, who = account.place, account.requester
    parameters = {
        **account.parameters,
        **limit_parameters(limits),
        "place_name": f"{place.surface} {place.container}",
        "person_name": f"{who.surface} {who.id}",
    }
    await tx.send(
        f"""
        WITH {WHO}, {LIMITS}
        INSERT INTO budgets (workspace_id, axis, subject, span, period, label, is_counted)
        SELECT %(workspace)s, l.axis,
            CASE l.axis WHEN 'workspace' THEN %(workspace)s::uuid WHEN 'agent' THEN %(agent_id)s::uuid
                WHEN 'run' THEN %(run_id)s::uuid WHEN 'place' THEN %(place)s::uuid
                ELSE w.principal END,
            l.span,
            CASE l.span WHEN 'day' THEN w.day WHEN 'run' THEN date '1970-01-01'
                ELSE date_trunc('month', w.day::timestamp)::date END,
            CASE l.axis WHEN 'place' THEN %(place_name)s WHEN 'principal' THEN %(person_name)s
                ELSE '' END,
            false
        FROM limits l CROSS JOIN who w ON CONFLICT DO NOTHING
        """,  # noqa: S608  # constants
        parameters,
    )
    await tx.send(
        f"""
        WITH {WHO},
        locked AS (
            SELECT b.subject, b.axis, b.span, b.period FROM budgets b
            WHERE NOT b.is_counted AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s,
                %(place)s,
                (SELECT principal FROM who)]::uuid[])
            ORDER BY b.axis, b.span FOR UPDATE OF b SKIP LOCKED),
        counted AS (
            SELECT l.subject, l.span, l.period, sums.* FROM locked l CROSS JOIN LATERAL (
                SELECT coalesce(sum(least(v.cost_usd, v.amount_usd))
                        FILTER (WHERE v.state = 'settled'), 0) AS settled_usd,
                    coalesce(sum(v.amount_usd) FILTER (WHERE v.state = 'held'), 0) AS reserved_usd,
                    coalesce(sum(greatest(v.cost_usd - v.amount_usd, 0)), 0) AS overrun_usd,
                    coalesce(sum(least(v.used_tokens, v.amount_tokens))
                        FILTER (WHERE v.state = 'settled'), 0) AS settled_tokens,
                    coalesce(sum(v.amount_tokens) FILTER (WHERE v.state = 'held'), 0)
                        AS reserved_tokens,
                    coalesce(sum(greatest(v.used_tokens - v.amount_tokens, 0)), 0) AS overrun_tokens
                FROM (
                    SELECT * FROM reservations WHERE l.axis = 'place' AND place = l.subject
                    UNION ALL
                    SELECT * FROM reservations WHERE l.axis = 'principal' AND principal = l.subject
                    UNION ALL
                    SELECT * FROM reservations WHERE l.axis = 'agent' AND agent_id = l.subject
                    UNION ALL
                    SELECT * FROM reservations WHERE l.axis = 'run' AND run_id = l.subject
                    UNION ALL
                    SELECT * FROM reservations WHERE l.axis = 'workspace') v
                WHERE l.span = 'run' OR v.day >= l.period AND v.day < l.period
                    + CASE l.span WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END) sums)
        UPDATE budgets b SET is_counted = true,
            settled_usd = c.settled_usd, reserved_usd = c.reserved_usd, overrun_usd = c.overrun_usd,
            settled_tokens = c.settled_tokens, reserved_tokens = c.reserved_tokens,
            overrun_tokens = c.overrun_tokens
        FROM counted c WHERE (b.subject, b.span, b.period) = (c.subject, c.span, c.period)
        """,  # noqa: S608  # constants
        account.parameters,
    )
