"""What hangs on a person who leaves: the runs they asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.ids import ConversationId, RunId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import PrincipalId
    from openloop.storage.database import Transaction

MOST = 1000


async def list_asked_by(
    tx: Transaction, principal_id: PrincipalId
) -> list[tuple[ConversationId, RunId]]:
    """Active runs that a person asked for and nobody has stopped, under any of their ids."""
    found = await tx.tuples(
        """
        SELECT r.conversation_id, r.id FROM runs r
        WHERE r.state IN ('queued', 'working', 'waiting') AND r.cancel_asked_by IS NULL
          AND (r.requested_by->>'surface' = 'console' AND r.requested_by->>'id' = %(id)s::text
               OR EXISTS (
                   SELECT FROM identities i WHERE i.principal_id = %(id)s::uuid
                     AND i.surface = r.requested_by->>'surface'
                     AND i.external_id = r.requested_by->>'id'
                     AND i.tenant IN (r.requested_by->>'tenant', '')))
        ORDER BY r.conversation_id LIMIT %(most)s
        """,
        {"id": principal_id, "most": MOST},
    )
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
