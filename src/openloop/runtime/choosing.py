"""Looking at choices before they count: the platform is asked what the person may do in that place.

Every worker does this, for the surfaces on which everybody can speak; a choice is looked at by
whoever takes it first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.actions import choosing
from openloop.actions.supervised import keep_doing
from openloop.domain.errors import TryLater, Unavailable
from openloop.plugin import PlaceRights
from openloop.runtime import people
from openloop.storage import agents, choices

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.runtime.kit import Kit
    from openloop.storage.choices import WaitingChoice

EVERY_SECONDS = 1.0
LONGEST = timedelta(minutes=10)
"""A choice about which a platform says nothing for that long does not count."""


class Choosing:
    """Looks at the choices of every workspace."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._sources = {
            name: surface
            for name, surface in kit.surfaces.items()
            if isinstance(surface, PlaceRights)
        }

    async def run(self) -> None:
        """Look until cancelled; returns at once where no surface needs it."""
        if self._sources:
            await keep_doing("choices", self.once, EVERY_SECONDS)

    async def once(self) -> None:
        """Look at every choice that is due."""
        async with self._kit.database.directory() as tx:
            workspaces = await agents.list_workspaces(tx)
        for row in workspaces:
            for name, source in self._sources.items():
                async with self._kit.database.transaction(row.id) as tx:
                    due = await choices.take_due(tx, surface=name)
                for waiting in sorted(due, key=lambda each: each.id):
                    await self._look_at(row.id, source, waiting)

    async def _look_at(
        self, workspace: WorkspaceId, source: PlaceRights, waiting: WaitingChoice
    ) -> None:
        """Only `write` counts here: `wake_from` gives nobody a voice in approvals."""
        database, inbound = self._kit.database, waiting.inbound
        try:
            person = await people.standing_in(
                source, inbound.thread.place, inbound.actor, wake_from="write"
            )
        except Unavailable as error:
            async with database.transaction(workspace) as tx:
                is_old = await tx.now() - waiting.taken_at > LONGEST
            if is_old:
                await choosing.refuse(database, workspace, waiting, code="platform_says_nothing")
                return
            until = error.retry_at if isinstance(error, TryLater) else None
            await choosing.put_off(database, workspace, waiting, until=until)
            return
        if people.may_ask(person):
            await choosing.accept(database, self._kit.configuration, workspace, waiting)
        else:
            await choosing.refuse(database, workspace, waiting, code="no_right_in_place")
