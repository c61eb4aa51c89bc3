"""What hangs on a person who leaves: the runs they asked for, and those that they steered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from openloop.domain.ids import ConversationId, RunId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import PrincipalId
    from openloop.storage.database import Transaction

MOST = 1000

# Every id of a person: also one that was theirs when they asked by it, or was last and is nobody's now.
# On the console people are known as principals.
_IDS: LiteralString = """
    ids AS MATERIALIZED (
        SELECT surface, tenant, external_id, 'infinity'::timestamptz AS until FROM identities
        WHERE principal_id = %(id)s::uuid
        UNION ALL
        SELECT f.surface, f.tenant, f.external_id, CASE WHEN EXISTS (
                SELECT FROM identities n
                WHERE (n.surface, n.tenant, n.external_id) = (f.surface, f.tenant, f.external_id))
            THEN f.left_at ELSE 'infinity' END
        FROM former_identities f WHERE f.principal_id = %(id)s::uuid
        UNION ALL SELECT 'console', '', %(id)s::text, 'infinity')
"""
_ACTIVE: LiteralString = "r.state IN ('queued', 'working', 'waiting') AND r.cancel_asked_by IS NULL"


async def list_asked_by(
    tx: Transaction, principal_id: PrincipalId
) -> list[tuple[ConversationId, RunId]]:
    """Active runs that a person asked for and nobody has stopped, under any of their ids."""
    found = await tx.tuples(
        f"""
        WITH {_IDS}
        SELECT r.conversation_id, r.id FROM runs r
        WHERE {_ACTIVE} AND EXISTS (
            SELECT FROM ids i WHERE i.surface = r.requested_by->>'surface'
              AND i.external_id = r.requested_by->>'id'
              AND i.tenant IN (r.requested_by->>'tenant', '') AND i.until >= r.queued_at)
        ORDER BY r.conversation_id LIMIT %(most)s
        """,  # noqa: S608  # constants
        {"id": principal_id, "most": MOST},
    )
    return _pairs(found)


async def list_steered_by(
    tx: Transaction, principal_id: PrincipalId
) -> list[tuple[ConversationId, RunId]]:
    """Active runs of others that have taken in what a person said, and wait for a decision."""
    found = await tx.tuples(
        f"""
        WITH {_IDS}
        SELECT r.conversation_id, r.id FROM runs r
        WHERE {_ACTIVE}
          AND EXISTS (SELECT FROM approvals a
                      WHERE a.run_id = r.id AND a.state IN ('pending', 'approved'))
          AND EXISTS (
            SELECT FROM messages m JOIN ids i ON i.surface = m.actor->>'surface'
              AND i.external_id = m.actor->>'id' AND i.tenant IN (m.actor->>'tenant', '')
              AND i.until >= m.received_at
            WHERE m.run_id = r.id AND m.read_at IS NOT NULL)
        ORDER BY r.conversation_id LIMIT %(most)s
        """,  # noqa: S608  # constants
        {"id": principal_id, "most": MOST},
    )
    return _pairs(found)


async def list_asked_under(
    tx: Transaction, *, surface: str, tenant: str, external_id: str
) -> list[tuple[ConversationId, RunId]]:
    """Active runs that were asked for under an id which is nobody's here."""
    found = await tx.tuples(
        f"""
        SELECT r.conversation_id, r.id FROM runs r
        WHERE {_ACTIVE} AND r.requested_by->>'surface' = %(surface)s
          AND r.requested_by->>'tenant' = %(tenant)s AND r.requested_by->>'id' = %(external_id)s
        ORDER BY r.conversation_id LIMIT %(most)s
        """,  # noqa: S608  # a constant
        {"surface": surface, "tenant": tenant, "external_id": external_id, "most": MOST},
    )
    return _pairs(found)


def _pairs(found: Sequence[tuple[Any, ...]]) -> list[tuple[ConversationId, RunId]]:
    return [(ConversationId(conversation), RunId(run)) for conversation, run in found]


async def lock_conversations(tx: Transaction, ids: Sequence[ConversationId]) -> None:
    """Lock several conversations, in order, and hold off pauses as whoever locks one does."""
    await tx.run(
        """
        SELECT openloop.hold_off_pauses() FROM conversations WHERE id = ANY(%(ids)s)
        ORDER BY id FOR NO KEY UPDATE
        """,
        {"ids": list(ids)},
    )
