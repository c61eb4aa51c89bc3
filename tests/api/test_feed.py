"""The reader of a workspace's events: one after the other, and none in the way of the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.api.feed import Feed, Happened
from openloop.domain.ids import PrincipalId, new_id
from tests.waiting import until

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage

SOMEBODY = PrincipalId(new_id())


class Stubborn(Feed):
    """A feed whose first reader takes its time to stop, as one does that waits for Postgres."""

    reading: int = 0
    stopping: int = 0
    stopped: int = 0

    def __init__(self, database: Database, stage: Stage) -> None:
        super().__init__(database, stage.workspace, poll_seconds=0, bound=10)
        self.may_stop = asyncio.Event()

    async def read(self, after: tuple[int, int]) -> list[Happened]:
        self.reading += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.stopping += 1
            await self.may_stop.wait()
            self.stopped += 1
        raise AssertionError("nobody sets it")


async def test_a_reader_that_ends_late_ends_nobody_who_came_since(
    database: Database, stage: Stage
) -> None:
    feed = Stubborn(database, stage)
    async with feed.listen(SOMEBODY):
        await until(lambda: feed.reading == 1)
    await until(lambda: feed.stopping == 1)

    async with feed.listen(SOMEBODY) as second:
        await until(lambda: feed.reading == 2)
        feed.may_stop.set()
        await until(lambda: feed.stopped == 1)
        await asyncio.sleep(0)

        assert not second.has_ended


async def test_a_reader_that_breaks_ends_all_who_listen(
    database: Database, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They connect again, and the next reader begins where each of them was."""

    async def broken(after: tuple[int, int]) -> list[Happened]:
        raise LookupError(after)

    feed = Feed(database, stage.workspace, poll_seconds=0, bound=10)
    monkeypatch.setattr(feed, "read", broken)
    async with feed.listen(SOMEBODY) as listener:
        await until(lambda: listener.has_ended)
