"""Limits that are reached: told once, and extended as often as a manifest lets an approval do that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.audit import SYSTEM
from openloop.storage import rows

if TYPE_CHECKING:
    from decimal import Decimal
    from uuid import UUID

    from openloop.domain.budget import Tight
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.storage.database import Transaction


async def tell_used_up(
    tx: Transaction, workspace: WorkspaceId, tight: Tight, run_id: RunId
) -> None:
    """A call was refused: what is left of the row affords none. That is told once, as its last threshold."""
    await tx.send(
        """
        WITH told AS (
            UPDATE budgets SET told = 100
            WHERE (subject, span, period) = (%(subject)s, %(span)s, %(period)s)
              AND told < 100 AND span <> 'run'
            RETURNING axis, settled_usd, limit_usd + extra_usd AS limit_usd,
                settled_tokens, limit_tokens + extra_tokens AS limit_tokens)
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        SELECT %(workspace)s, 'budget.threshold', %(system)s::jsonb, %(subject)s, %(run_id)s,
               jsonb_build_object('axis', axis, 'span', %(span)s::text, 'period', %(period)s::date,
                   'percent', 100, 'settled_usd', settled_usd::text, 'limit_usd', limit_usd::text,
                   'settled_tokens', settled_tokens, 'limit_tokens', limit_tokens)
        FROM told
        """,
        {
            "workspace": workspace,
            "subject": tight.subject,
            "span": tight.span,
            "period": tight.period,
            "run_id": run_id,
            "system": rows.json(SYSTEM),
        },
    )


async def extend(
    tx: Transaction, tight: Tight, *, owner: UUID, usd: Decimal, tokens: int, at_most_per_month: int
) -> bool:
    """Add to the limit of a row, unless its owner's month has had all its extensions.

    `owner` is the agent or the workspace whose manifest offers it; the count is on its month.
    """
    return bool(
        await tx.run(
            """
            WITH locked AS (
                SELECT subject, span, period, extensions,
                    (subject, span, period) = (%(owner)s, 'month', openloop.month()) AS is_owner,
                    (subject, span, period) = (%(subject)s, %(span)s, %(period)s)
                        AND openloop.covers(span, period, openloop.day()) AS is_extended
                FROM budgets
                WHERE subject IN (%(owner)s, %(subject)s)
                  AND ((subject, span, period) = (%(owner)s, 'month', openloop.month())
                       OR (subject, span, period) = (%(subject)s, %(span)s, %(period)s))
                ORDER BY axis, span FOR UPDATE)
            UPDATE budgets b SET
                extra_usd = b.extra_usd + CASE WHEN l.is_extended THEN %(usd)s::numeric ELSE 0 END,
                extra_tokens = b.extra_tokens
                    + CASE WHEN l.is_extended THEN %(tokens)s::bigint ELSE 0 END,
                extensions = b.extensions + CASE WHEN l.is_owner THEN 1 ELSE 0 END
            FROM locked l
            WHERE (b.subject, b.span, b.period) = (l.subject, l.span, l.period)
              AND EXISTS (SELECT FROM locked o WHERE o.is_owner AND o.extensions < %(at_most)s)
              AND EXISTS (SELECT FROM locked e WHERE e.is_extended)
            """,
            {
                "owner": owner,
                "subject": tight.subject,
                "span": tight.span,
                "period": tight.period,
                "usd": usd,
                "tokens": tokens,
                "at_most": at_most_per_month,
            },
        )
    )


async def count_extensions(tx: Transaction, owner: UUID) -> int:
    """How many extensions the month of an agent or a workspace has had."""
    found = await tx.value(
        """
        SELECT extensions FROM budgets
        WHERE subject = %(owner)s AND span = 'month' AND period = openloop.month()
        """,
        {"owner": owner},
    )
    return int(found or 0)
