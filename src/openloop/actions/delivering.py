"""Recording where checkpoints have arrived, and where they have not: the first failure is an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.audit import SYSTEM
from openloop.storage import audit, checkpoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.errors import OpenLoopError
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.checkpoints import CheckpointRow, Destination
    from openloop.storage.database import Database

AT_ONCE = 100
LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a place lacks, taken for delivery."""

    destination: Destination
    documents: tuple[CheckpointRow, ...]


async def list_due(database: Database, workspace: WorkspaceId, names: Sequence[str]) -> list[str]:
    """Which of these places lack something and may be tried now."""
    async with database.transaction(workspace) as tx:
        return await checkpoints.list_due(tx, names)


async def take(database: Database, workspace: WorkspaceId, name: str) -> Due | None:
    """What is to be delivered now; None where the place has everything, or is not due yet."""
    async with database.transaction(workspace) as tx:
        destination = await checkpoints.claim(tx, workspace, name)
        if destination is None:
            return None
        found = await checkpoints.list_after(tx, destination.delivered, limit=AT_ONCE)
    return Due(destination=destination, documents=tuple(found)) if found else None


async def delivered(database: Database, workspace: WorkspaceId, due: Due) -> None:
    """All of it has arrived; where it had failed before, that is over."""
    name, number = due.destination.name, due.documents[-1].number
    async with database.transaction(workspace) as tx:
        await checkpoints.mark_delivered(tx, name, number)
        if due.destination.failing_since is not None:
            await audit.append(
                tx,
                workspace,
                "checkpoint.delivered",
                actor=SYSTEM,
                destination=name,
                count=number,
            )


async def failed(
    database: Database, workspace: WorkspaceId, due: Due, error: OpenLoopError
) -> float:
    """It has not arrived; after how many seconds it is tried again."""
    pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(due.destination.failures, 10))
    async with database.transaction(workspace) as tx:
        await checkpoints.mark_failed(
            tx, due.destination.name, error=str(error), again_seconds=pause
        )
        if due.destination.failing_since is None:
            await audit.append(
                tx,
                workspace,
                "checkpoint.undelivered",
                actor=SYSTEM,
                destination=due.destination.name,
                code=error.code,
            )
    return pause
