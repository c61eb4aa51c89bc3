"""Waking workers: a procrastinate job per wake, deferred on the transaction's own connection.

A job carries two ids and nothing else. All truth is rows: a lost or doubled job is harmless, and
jobs carry no lock and no queueing lock (docs/decisions/0001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openloop.domain.ids import ConversationId, WorkspaceId
    from openloop.storage.database import Transaction

QUEUE = "runs"
ADVANCE = "advance"


async def wake(tx: Transaction, workspace: WorkspaceId, conversation: ConversationId) -> None:
    """Ask some worker to look at a conversation once this transaction has committed."""
    await tx.send(
        "SELECT openloop.wake(%(workspace)s, %(conversation)s)",
        {"workspace": workspace, "conversation": conversation},
    )


async def count_workers(tx: Transaction) -> int:
    """Workers that have shown a sign of life in the last half minute."""
    return await tx.value(
        """
        SELECT count(*) FROM procrastinate.procrastinate_workers
        WHERE last_heartbeat > now() - interval '30 seconds'
        """
    )
