"""Whose words a run works for: the people whose messages it has taken in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.principal import Role
from openloop.domain.surface import Actor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from openloop.domain.ids import MessageId, PrincipalId, RunId
    from openloop.storage.database import Pending, Transaction

MOST = 100
"""How many messages of a run are looked at; whoever finds more knows that it is not all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One message that a run has taken in, and the principal behind its author where there is one."""

    actor: Actor
    typed: str
    principal: str | None
    roles: tuple[Role, ...]
    active: bool


async def ask_asked(tx: Transaction, run_id: RunId) -> Pending[Asked]:
    """What was said to a run and read by it, oldest first; at most one more than `MOST`."""
    return await tx.ask(
        Asked,
        """
        SELECT m.actor, m.typed, p.name AS principal, coalesce(p.roles, '{}') AS roles,
               coalesce(p.active, true) AS active
        FROM messages m LEFT JOIN LATERAL (
            -- Whom `principals.find_any_by_identity` finds: the manifest comes before a link.
            (SELECT p.name, p.roles, p.active
             FROM identities i JOIN principals p ON p.id = i.principal_id
             WHERE i.external_id = m.actor->>'id' AND i.surface = m.actor->>'surface'
               AND i.tenant IN (m.actor->>'tenant', '')
             ORDER BY i.origin = 'manifest' DESC, i.tenant DESC LIMIT 1)
            UNION ALL
            -- On the console people are known as principals: their id there is the principal's.
            SELECT p.name, p.roles, p.active FROM principals p
            WHERE p.id = CASE WHEN m.actor->>'surface' = 'console' THEN (m.actor->>'id')::uuid END
            LIMIT 1) p ON true
        WHERE m.run_id = %(run_id)s AND m.read_at IS NOT NULL ORDER BY m.id LIMIT %(limit)s
        """,
        {"run_id": run_id, "limit": MOST + 1},
    )


async def was_asked_by(
    tx: Transaction, asked: Actor, principal: PrincipalId, *, since: datetime
) -> bool:
    """True where an id was this principal's at any time since then, or was last and is nobody's now.

    Whoever gives up an id and asks under it is still the one who asked.
    """
    return await tx.value(
        """
        SELECT EXISTS (
            SELECT FROM former_identities f
            WHERE f.external_id = %(id)s AND f.surface = %(surface)s AND f.tenant IN (%(tenant)s, '')
              AND f.principal_id = %(principal)s
              AND (f.left_at >= %(since)s OR NOT EXISTS (
                  SELECT FROM identities i WHERE i.external_id = %(id)s AND i.surface = %(surface)s
                    AND i.tenant IN (%(tenant)s, ''))))
        """,
        {
            "id": asked.id,
            "surface": asked.surface,
            "tenant": asked.tenant,
            "principal": principal,
            "since": since,
        },
    )


async def leave_out(tx: Transaction, ids: Sequence[MessageId]) -> None:
    """Note that these messages were read and ask nobody for anything."""
    await tx.run(
        "UPDATE messages SET read_at = openloop.now() WHERE id = ANY(%(ids)s) AND run_id IS NULL",
        {"ids": list(ids)},
    )
