"""Mirroring groups: a platform is asked who is in them, often enough that nobody counts for long.

Every worker does this; a group is asked for by whoever takes it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from openloop.actions.supervised import keep_doing
from openloop.domain.errors import OpenLoopError
from openloop.plugin import GroupSource
from openloop.storage import agents, groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.ids import WorkspaceId
    from openloop.plugin import Surface
    from openloop.storage.database import Database
    from openloop.storage.groups import MirroredGroup

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10.0


class Mirror:
    """Keeps the mirrored groups of every workspace fresh."""

    def __init__(self, database: Database, surfaces: Mapping[str, Surface]) -> None:
        self._database = database
        self._sources = {
            name: surface for name, surface in surfaces.items() if isinstance(surface, GroupSource)
        }

    async def run(self) -> None:
        """Mirror until cancelled."""
        await keep_doing("mirror", self.once, EVERY_SECONDS)

    async def once(self) -> None:
        """Ask for every group that is due."""
        if not self._sources:
            return
        async with self._database.directory() as tx:
            workspaces = await agents.list_workspaces(tx)
        for row in workspaces:
            for name, source in self._sources.items():
                async with self._database.transaction(row.id) as tx:
                    due = await groups.take_due(tx, surface=name)
                for group in due:
                    await self._mirror(row.id, source, group)

    async def _mirror(
        self, workspace: WorkspaceId, source: GroupSource, group: MirroredGroup
    ) -> None:
        tenant, members, problem = "", (), ""
        try:
            found = await source.group_members(group.external_id)
            tenant, members = found.tenant, found.ids
        except OpenLoopError as error:
            problem = str(error)[:500] or type(error).__name__
            log.warning("group not mirrored", group=group.name, reason=problem)
        async with self._database.transaction(workspace) as tx:
            await groups.save(
                tx,
                name=group.name,
                external_id=group.external_id,
                tenant=tenant,
                members=members,
                problem=problem,
            )
