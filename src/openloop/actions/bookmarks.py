"""Bookmarks of surfaces that ask their platform what happened: one process reads at a time.

A bookmark is moved only after what was read is committed, so a process that dies in between reads
the same again, and the dedupe keys of what comes in drop it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from openloop.domain.audit import SYSTEM
from openloop.domain.bookmark import LostBookmark
from openloop.domain.errors import Unavailable
from openloop.plugin import BoundPlace
from openloop.storage import agents, audit, bookmarks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from openloop.domain.bookmark import Gap
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

HELD_SECONDS: Final = 30.0
TRY_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class SurfaceBookmarks:
    """The bookmarks of one surface, kept in the workspace that this installation began with."""

    def __init__(
        self,
        database: Database,
        home: WorkspaceId,
        surface: str,
        *,
        held_seconds: float = HELD_SECONDS,
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        self._database = database
        self._home = home
        self._surface = surface
        self._held_seconds = held_seconds
        self._try_seconds = try_seconds

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[HeldBookmark]:
        """Wait until no other process reads this list; then it is ours until the end."""
        taken = await self._take(name)
        held = HeldBookmark(
            self._database, self._home, self._surface, name, taken, seconds=self._held_seconds
        )
        staying = asyncio.create_task(held.stay(), name=f"bookmark {name}")
        try:
            yield held
        finally:
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
            await held.give_back()

    async def places(self) -> Sequence[BoundPlace]:
        """Where agents are bound on this surface, in every workspace."""
        async with self._database.directory() as tx:
            workspaces = [row.id for row in await agents.list_workspaces(tx)]
        found: dict[BoundPlace, None] = {}
        for workspace in workspaces:
            async with self._database.transaction(workspace) as tx:
                for binding in await agents.list_bindings(tx):
                    if binding.surface == self._surface:
                        found[BoundPlace(place=binding.place, name=binding.name)] = None
        return tuple(found)

    async def _take(self, name: str) -> bookmarks.Taken:
        while True:
            async with self._database.transaction(self._home) as tx:
                taken = await bookmarks.take(
                    tx, self._home, self._surface, name, seconds=self._held_seconds
                )
            if taken is not None:
                return taken
            await asyncio.sleep(self._try_seconds)


class HeldBookmark:
    """A bookmark that this process holds, under the epoch of its taking."""

    def __init__(
        self,
        database: Database,
        workspace: WorkspaceId,
        surface: str,
        name: str,
        taken: bookmarks.Taken,
        *,
        seconds: float,
    ) -> None:
        self._database = database
        self._workspace = workspace
        self._surface = surface
        self._name = name
        self._epoch = taken.epoch
        self._read: Mapping[str, object] | None = taken.read
        self._seconds = seconds

    @property
    def read(self) -> Mapping[str, object] | None:
        """What was kept last, by whomever; None where nothing was."""
        return self._read

    async def keep(self, read: Mapping[str, object], *, gap: Gap | None = None) -> None:
        """Keep how far it is read, and what can no longer be.

        Raises:
            LostBookmark: another process has taken over, and nothing was kept
        """
        async with self._database.transaction(self._workspace) as tx:
            kept = await bookmarks.keep(tx, self._surface, self._name, read, epoch=self._epoch)
            if not kept:
                raise LostBookmark(f"Another process reads {self._surface} {self._name!r} now")
            if gap is not None:
                await bookmarks.note_gap(tx, self._surface, self._name, gap)
                await audit.append(
                    tx,
                    self._workspace,
                    "place.unheard",
                    actor=SYSTEM,
                    surface=self._surface,
                    list=self._name,
                    since=gap.since,
                    until=gap.until,
                )
        self._read = read

    async def stay(self) -> None:
        """Hold it until cancelled, or until it turns out that somebody else has it."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                if not await self._hold_on(self._seconds):
                    log.warning("bookmark.lost", surface=self._surface, name=self._name)
                    return
            except Unavailable as error:
                log.warning("bookmark.not_renewed", surface=self._surface, reason=str(error))

    async def give_back(self) -> None:
        """Let the next process begin at once; where that cannot be said, it begins a little later."""
        try:
            await self._hold_on(0)
        except Unavailable as error:
            log.warning("bookmark.not_given_back", surface=self._surface, reason=str(error))

    async def _hold_on(self, seconds: float) -> bool:
        async with self._database.transaction(self._workspace) as tx:
            return await bookmarks.hold_on(
                tx, self._surface, self._name, epoch=self._epoch, seconds=seconds
            )
