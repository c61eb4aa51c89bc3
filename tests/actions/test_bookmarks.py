"""Bookmarks: one process reads a list at a time, and what one that was relieved keeps is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.domain.bookmark import Gap, LostBookmark
from openloop.storage import audit, bookmarks
from tests import make
from tests.waiting import until

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

LIST = "deliveries"


def bookmarks_of(database: Database, workspace: WorkspaceId, **seconds: float) -> SurfaceBookmarks:
    return SurfaceBookmarks(database, workspace, "github", **{"try_seconds": 0.01, **seconds})


async def test_what_is_kept_is_what_the_next_process_reads_on_from(
    database: Database, workspace: WorkspaceId
) -> None:
    async with bookmarks_of(database, workspace).hold(LIST) as first:
        assert first.read is None
        await first.keep({"through": "noon"})
        assert first.read == {"through": "noon"}
    async with bookmarks_of(database, workspace).hold(LIST) as second:
        assert second.read == {"through": "noon"}
    async with bookmarks_of(database, workspace).hold("another") as third:
        assert third.read is None


async def test_a_second_process_waits_until_the_first_gives_it_back(
    database: Database, workspace: WorkspaceId
) -> None:
    tried = asyncio.Event()

    async def follow() -> object:
        tried.set()
        async with bookmarks_of(database, workspace).hold(LIST) as second:
            return second.read

    async with bookmarks_of(database, workspace).hold(LIST) as first:
        following = asyncio.create_task(follow())
        await tried.wait()
        for _ in range(3):  # it has looked, more than once
            async with database.transaction(workspace) as tx:
                assert await bookmarks.take(tx, workspace, "github", LIST, seconds=1) is None
        assert not following.done()
        await first.keep({"page": 7})
    async with asyncio.timeout(5):
        assert await following == {"page": 7}


async def test_of_two_that_take_at_once_one_has_it(
    database: Database, workspace: WorkspaceId
) -> None:
    async def take() -> bookmarks.Taken | None:
        async with database.transaction(workspace) as tx:
            return await bookmarks.take(tx, workspace, "github", LIST, seconds=60)

    taken = await asyncio.gather(*(take() for _ in range(6)))
    assert [each.epoch for each in taken if each is not None] == [1]


async def test_one_that_was_thought_dead_keeps_nothing_any_more(
    database: Database, workspace: WorkspaceId, clock: Clock
) -> None:
    async with bookmarks_of(database, workspace, held_seconds=60).hold(LIST) as slow:
        await slow.keep({"page": 1})
        await clock.advance(seconds=61)
        async with bookmarks_of(database, workspace).hold(LIST) as quick:
            assert quick.read == {"page": 1}
            await quick.keep({"page": 2})
            with pytest.raises(LostBookmark):
                await slow.keep({"page": 1})
        async with bookmarks_of(database, workspace).hold(LIST) as third:
            assert third.read == {"page": 2}


async def test_one_that_works_for_long_holds_on_to_it(
    database: Database, workspace: WorkspaceId, clock: Clock
) -> None:
    """The renewal is the only thing that keeps another process out here."""
    async with bookmarks_of(database, workspace, held_seconds=0.3).hold(LIST) as first:

        async def held_until() -> object:
            async with database.transaction(workspace) as tx:
                return await tx.value("SELECT held_until FROM bookmarks")

        begun = await held_until()

        async def is_renewed() -> bool:
            return await held_until() != begun

        await until(is_renewed)
        await first.keep({"page": 1})


async def test_one_that_was_relieved_does_not_free_it_for_a_third(
    database: Database, workspace: WorkspaceId, clock: Clock
) -> None:
    held = bookmarks_of(database, workspace, held_seconds=60).hold(LIST)
    await held.__aenter__()
    await clock.advance(seconds=61)
    async with bookmarks_of(database, workspace, held_seconds=60).hold(LIST):
        await held.__aexit__(None, None, None)
        async with database.transaction(workspace) as tx:
            assert await bookmarks.take(tx, workspace, "github", LIST, seconds=1) is None


async def test_a_gap_is_noted_and_on_record(database: Database, workspace: WorkspaceId) -> None:
    async with database.transaction(workspace) as tx:
        now = await tx.now()
    gap = Gap(since=now - timedelta(days=5), until=now - timedelta(days=3))
    async with bookmarks_of(database, workspace).hold(LIST) as bookmark:
        await bookmark.keep({"through": "noon"}, gap=gap)
        await bookmark.keep({"through": "later"})
    async with database.transaction(workspace) as tx:
        [row] = await bookmarks.list_all(tx)
        [event] = await audit.list_newest(tx, limit=5, kind="place.unheard")
    assert (row.gap_since, row.gap_until) == (gap.since, gap.until)
    assert not row.is_held
    assert event.detail["list"] == LIST


async def test_the_places_are_those_that_agents_are_bound_to(stage: Stage) -> None:
    places = await SurfaceBookmarks(stage.database, stage.workspace, "slack").places()
    assert [each.place for each in places] == [make.place()]
    assert await SurfaceBookmarks(stage.database, stage.workspace, "github").places() == ()
