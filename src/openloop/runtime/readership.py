"""Who of us can read in each place, kept on record: it decides who reads its runs through the API.

A run with tools finds it out on its way. What no run has asked about, or not for long, is asked here,
beside every run; a place that nobody has told us of is read by those who asked there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from openloop.actions.supervised import keep_doing
from openloop.domain.audience import PlaceClass
from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.plugin import TellsOpen
from openloop.storage import agents, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.ids import WorkspaceId
    from openloop.domain.surface import Place
    from openloop.plugin import Surface
    from openloop.storage.database import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 15.0
AT_ONCE = 5
"""Places of one workspace that are asked about at a time: platforms count what they are asked."""


async def open_to(surface: Surface, place: Place, readers: PlaceClass) -> PlaceClass:
    """The class by which people of ours read a place; `private` where not all of them can.

    Guests and other organisations read in open channels and in private ones: which it is, the surface
    has to say.

    Raises:
        OpenLoopError: it does not say
    """
    if readers not in (PlaceClass.GUESTS, PlaceClass.SHARED):
        return readers
    is_open = isinstance(surface, TellsOpen) and await surface.is_open(place)
    return readers if is_open else PlaceClass.PRIVATE


class Readership:
    """Asks for the places of every workspace, the one that was asked about longest ago first."""

    def __init__(self, database: Database, surfaces: Mapping[str, Surface]) -> None:
        self._database, self._surfaces = database, surfaces

    async def run(self) -> None:
        """Ask until cancelled."""
        await keep_doing("readership", self.once, EVERY_SECONDS)

    async def once(self) -> None:
        """Ask about every place that is due, up to a few."""
        async with self._database.directory() as tx:
            workspaces = await agents.list_workspaces(tx)
        for row in workspaces:
            async with self._database.transaction(row.id) as tx:
                due = await places.take_due(
                    tx, row.id, surfaces=list(self._surfaces), limit=AT_ONCE
                )
            for place in due:
                await self._ask(row.id, place)

    async def _ask(self, workspace: WorkspaceId, place: Place) -> None:
        surface = self._surfaces[place.surface]
        try:
            found = await open_to(surface, place, await surface.audience(place))
        except Unavailable as error:
            log.info("place not asked about", surface=place.surface, reason=str(error))
            return
        except OpenLoopError as error:
            # The platform does not tell us any more, for which there may be a reason.
            log.info("place is not told of", surface=place.surface, reason=str(error))
            found = None
        async with self._database.transaction(workspace) as tx:
            await places.note(tx, workspace, place, found)
