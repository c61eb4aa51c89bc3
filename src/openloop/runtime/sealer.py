"""The sealer: seals every workspace's audit each second, vouches for it, and delivers checkpoints.

Every worker runs one. It is on no run's path: what it does not get round to waits, in order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from openloop.actions import delivering, sealing
from openloop.actions.supervised import keep_doing
from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.storage import agents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.runtime.destinations.destination import Destination
    from openloop.runtime.signing import KeyFile
    from openloop.storage.database import Database

log = structlog.get_logger(__name__)

SEAL_SECONDS = 1.0
DELIVER_SECONDS = 2.0
LOOK_SECONDS = 5.0


class Sealer:
    """Two loops that are started again whatever ends them: one seals and signs, one delivers."""

    def __init__(
        self, database: Database, key: KeyFile, destinations: Sequence[Destination]
    ) -> None:
        self._database = database
        self._key = key
        self._destinations = {destination.name: destination for destination in destinations}
        self._unsigned: dict[WorkspaceId, int] = {}
        self._look_at: dict[WorkspaceId, float] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(keep_doing("sealing", self.seal_all, SEAL_SECONDS))
                loops.create_task(keep_doing("checkpoints", self.deliver_all, DELIVER_SECONDS))
        finally:
            for destination in self._destinations.values():
                await destination.aclose()

    async def seal_all(self) -> None:
        """Seal what can be sealed in every workspace, and vouch for it where that is due."""
        for workspace in await self._workspaces():
            try:
                await self._seal(workspace)
            except Unavailable:
                raise
            except OpenLoopError as error:
                log.error(  # noqa: TRY400  # a sentence says all of it
                    "audit alarm", workspace=str(workspace), code=error.code, reason=str(error)
                )

    async def deliver_all(self) -> None:
        """Bring every place what it lacks."""
        for workspace in await self._workspaces():
            for name in await delivering.list_due(
                self._database, workspace, list(self._destinations)
            ):
                await self._deliver(workspace, self._destinations[name])

    async def _seal(self, workspace: WorkspaceId) -> None:
        unsigned = self._unsigned.get(workspace, 0)
        while True:
            sealed = await sealing.seal(self._database, workspace)
            unsigned += sealed.count
            if not sealed.more:
                break
            await asyncio.sleep(0)  # let the runs of this process go on
        self._unsigned[workspace] = unsigned
        now = asyncio.get_running_loop().time()
        if unsigned >= sealing.EVERY_EVENTS or now >= self._look_at.get(workspace, 0):
            self._look_at[workspace] = now + LOOK_SECONDS
            self._unsigned[workspace] = 0
            await sealing.make_checkpoint(self._database, workspace, self._key.key())

    async def _deliver(self, workspace: WorkspaceId, destination: Destination) -> None:
        due = await delivering.take(self._database, workspace, destination.name)
        if due is None:
            return
        try:
            await destination.put(workspace, due.documents)
        except OpenLoopError as error:
            again = await delivering.failed(self._database, workspace, due, error)
            log.error(  # noqa: TRY400  # a sentence says all of it
                "checkpoint not delivered",
                workspace=str(workspace),
                destination=destination.name,
                code=error.code,
                reason=str(error),
                again_seconds=again,
            )
        else:
            await delivering.delivered(self._database, workspace, due)

    async def _workspaces(self) -> list[WorkspaceId]:
        async with self._database.directory() as tx:
            return [row.id for row in await agents.list_workspaces(tx)]
