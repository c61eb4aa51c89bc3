"""Reading the audit as it grows: one reader per workspace, for as long as somebody listens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from openloop.api.paging import parse_position
from openloop.domain.errors import Unavailable
from openloop.domain.ids import PrincipalId
from openloop.domain.readers import Reader, matter_of
from openloop.storage import audit, readers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.domain.audit import AuditEvent
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

log = structlog.get_logger(__name__)

MEMBER = Reader(principal=PrincipalId(UUID(int=0)), sees=True)
"""Any full member who has asked for nothing and is asked about nothing."""
BATCH = 200
MOST_OF_ONE = 20
MOST = 500
"""Streams of one caller, and of a workspace."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event and its position, as text and as numbers.

    `is_open`: what it is about may be read by every full member.
    """

    id: str
    position: tuple[int, int]
    event: AuditEvent
    is_open: bool = False


class Listener:
    """One client: what it has not been sent yet, up to a bound."""

    def __init__(self, since: tuple[int, int], whose: PrincipalId, *, bound: int) -> None:
        self.since = since
        self.whose = whose
        self._queue: asyncio.Queue[Happened] = asyncio.Queue(bound)
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """True once nothing more will come: the client is too slow, or the reader is gone."""
        return self._ended.is_set()

    def put(self, happened: Happened) -> None:
        """Queue an event; a client that has let its queue fill up is dropped."""
        try:
            self._queue.put_nowait(happened)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended.set()

    def queued(self) -> list[Happened]:
        """Whatever else is there already."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    async def next(self, *, within: float) -> Happened | None:
        """The next event, or None where there is none within some seconds or ever again."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        coming = asyncio.ensure_future(self._queue.get())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait(
                (coming, ending), timeout=within, return_when=asyncio.FIRST_COMPLETED
            )
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            ending.cancel()


class Feed:
    """The events of one workspace, in an order in which no slow transaction is skipped."""

    def __init__(
        self, database: Database, workspace: WorkspaceId, *, poll_seconds: float, bound: int
    ) -> None:
        self._database = database
        self._workspace = workspace
        self._poll_seconds = poll_seconds
        self._bound = bound
        self._position = (0, 0)
        self._listeners: set[Listener] = set()
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def now(self) -> tuple[int, int]:
        """The position up to which everything is visible."""
        async with self._database.transaction(self._workspace) as tx:
            return await audit.position(tx)

    async def read(self, after: tuple[int, int]) -> list[Happened]:
        """The next events after a position, at most a batch."""
        async with self._database.transaction(self._workspace) as tx:
            found = await audit.list_after(tx, after, limit=BATCH)
            matters = {matter for _, event in found if (matter := matter_of(event))}
            anybody = await readers.list_readable(tx, MEMBER, matters) if matters else set[UUID]()
        return [
            Happened(id, parse_position(id), event, is_open=_is_of(event, anybody))
            for id, event in found
        ]

    def has_room(self, whose: PrincipalId, *, beside: int = 0) -> bool:
        """Whether somebody may listen once more; `beside` how many of theirs are counted already."""
        own = sum(listener.whose == whose for listener in self._listeners)
        return own - beside < MOST_OF_ONE and len(self._listeners) - beside < MOST

    @asynccontextmanager
    async def listen(self, whose: PrincipalId) -> AsyncGenerator[Listener]:
        """Listen from now on: what happened before `since` is not queued, all after it is."""
        async with self._opening:
            if self._reader is None or self._reader.done():
                self._position = await self.now()
                self._reader = asyncio.create_task(self._read_on())
        listener = Listener(self._position, whose, bound=self._bound)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._stop()

    def end(self) -> None:
        """End every stream."""
        for listener in self._listeners:
            listener.end()
        self._stop()

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read_on(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._poll_seconds)
                try:
                    await self._read_up()
                except Unavailable as error:
                    log.warning("event stream waits", reason=str(error))
        finally:
            if self._reader is asyncio.current_task():  # else whoever listens has another reader
                for listener in self._listeners:
                    listener.end()

    async def _read_up(self) -> None:
        while found := await self.read(self._position):
            for happened in found:
                for listener in self._listeners:
                    listener.put(happened)
            self._position = found[-1].position


def _is_of(event: AuditEvent, readable: set[UUID]) -> bool:
    matter = matter_of(event)
    return matter is not None and matter[1] in readable


class Feeds:
    """A feed per workspace, made when somebody listens."""

    def __init__(self, database: Database, *, poll_seconds: float, bound: int) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._bound = bound
        self._feeds: dict[WorkspaceId, Feed] = {}

    def of(self, workspace: WorkspaceId) -> Feed:
        """The feed of a workspace."""
        feed = self._feeds.get(workspace)
        if feed is None:
            feed = Feed(
                self._database, workspace, poll_seconds=self._poll_seconds, bound=self._bound
            )
            self._feeds[workspace] = feed
        return feed

    def end(self) -> None:
        """End every stream, so that the server can stop."""
        for feed in self._feeds.values():
            feed.end()
