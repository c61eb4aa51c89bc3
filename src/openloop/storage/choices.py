"""Choices that wait until a platform has said what the person who made them may do there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.ids import new_id
from openloop.domain.surface import Inbound
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

ASKING_SECONDS = 30.0
"""How long a worker that took a choice has for it before another one takes it."""
LATER_SECONDS = 5.0
AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingChoice:
    """One choice as it came in."""

    id: UUID
    inbound: Inbound
    taken_at: datetime


async def put(tx: Transaction, workspace: WorkspaceId, inbound: Inbound) -> None:
    """Keep a choice until somebody has looked at it."""
    await tx.send(
        """
        INSERT INTO choices (workspace_id, id, surface, inbound)
        VALUES (%(workspace)s, %(id)s, %(surface)s, %(inbound)s)
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "surface": inbound.thread.place.surface,
            "inbound": rows.json(inbound),
        },
    )


async def take_due(tx: Transaction, *, surface: str) -> list[WaitingChoice]:
    """The oldest choices that nobody is looking at; they are the caller's for a while."""
    return await tx.all(
        WaitingChoice,
        """
        UPDATE choices SET not_before = openloop.now() + make_interval(secs => %(seconds)s)
        WHERE id IN (
            SELECT id FROM choices WHERE surface = %(surface)s AND not_before <= openloop.now()
            ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING id, inbound, taken_at
        """,
        {"surface": surface, "seconds": ASKING_SECONDS, "limit": AT_ONCE},
    )


async def put_off(tx: Transaction, id: UUID, *, until: datetime | None) -> None:
    """Look at it again at the given time, and not before a few seconds have passed."""
    await tx.send(
        """
        UPDATE choices SET not_before =
            greatest(%(until)s::timestamptz, openloop.now() + make_interval(secs => %(seconds)s))
        WHERE id = %(id)s
        """,
        {"id": id, "until": until, "seconds": LATER_SECONDS},
    )


async def take_away(tx: Transaction, id: UUID) -> bool:
    """True for the one who may carry it out, with this transaction."""
    return bool(await tx.run("DELETE FROM choices WHERE id = %(id)s", {"id": id}))


async def sweep(tx: Transaction, *, limit: int) -> int:
    """Forget what nobody looks at any more: its surface is not configured since."""
    return await tx.run(
        """
        DELETE FROM choices WHERE id IN (
            SELECT id FROM choices WHERE taken_at < openloop.now() - interval '1 day' LIMIT %(limit)s)
        """,
        {"limit": limit},
    )
