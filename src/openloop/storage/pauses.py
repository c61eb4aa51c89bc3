"""Pauses: set and lifted here, and seen by whatever starts something, in the same transaction.

`conversations.fence` and `conversations.lock` hold off pauses before anything is read; `put` waits
for whoever does. So an intent or a reservation either sees a pause or has committed before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from openloop.domain.pause import Pause
from openloop.storage import rows

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.audit import Who
    from openloop.domain.ids import AgentId, WorkspaceId
    from openloop.domain.pause import PauseScope
    from openloop.storage.database import Transaction

_COLUMNS: LiteralString = "scope, subject, reason, paused_by, paused_at"


async def await_intents(tx: Transaction) -> None:
    """Wait for every intent and reservation under way; those that come later wait for us."""
    await tx.run("SELECT openloop.await_intents()")


async def be_patient(tx: Transaction) -> None:
    """Let this transaction wait longer than all others may take: whoever brakes is not turned away."""
    await tx.send(
        "SELECT set_config('lock_timeout', '20s', true), set_config('statement_timeout', '20s', true)"
    )


async def put(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    scope: PauseScope,
    subject: UUID,
    reason: str,
    by: Who,
) -> bool:
    """Set a pause; False where it is set already, and stays as it is."""
    return bool(
        await tx.run(
            """
            INSERT INTO pauses (workspace_id, subject, scope, reason, paused_by)
            VALUES (%(workspace)s, %(subject)s, %(scope)s, %(reason)s, %(by)s)
            ON CONFLICT DO NOTHING
            """,
            {
                "workspace": workspace,
                "subject": subject,
                "scope": scope,
                "reason": reason,
                "by": rows.json(by),
            },
        )
    )


async def lift(tx: Transaction, *, scope: PauseScope, subject: UUID) -> bool:
    """Lift a pause; False where there is none."""
    return bool(
        await tx.run(
            "DELETE FROM pauses WHERE subject = %(subject)s AND scope = %(scope)s",
            {"subject": subject, "scope": scope},
        )
    )


async def list_current(tx: Transaction) -> list[Pause]:
    """Every pause in force, the oldest first."""
    return await tx.all(
        Pause,
        f"SELECT {_COLUMNS} FROM pauses ORDER BY paused_at LIMIT 1001",  # noqa: S608
    )


async def wake_waiting(tx: Transaction, agent_id: AgentId | None) -> int:
    """Whatever waits in the scope is looked at again; returns how many conversations that is."""
    return await tx.run(
        """
        UPDATE conversations SET wakes = wakes + 1 WHERE id IN (
            SELECT c.id FROM conversations c WHERE c.id IN (
                SELECT conversation_id FROM runs
                WHERE state IN ('queued', 'working', 'waiting')
                  AND (%(agent_id)s::uuid IS NULL OR agent_id = %(agent_id)s))
            -- In order: others lock several of them too.
            ORDER BY c.id FOR NO KEY UPDATE)
        """,
        {"agent_id": agent_id},
    )
