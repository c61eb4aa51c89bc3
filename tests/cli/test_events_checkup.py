"""`doctor` says how far lists of a platform are read, and what can be read no more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.cli import bookmarks_checkup
from openloop.domain.bookmark import Gap
from tests.staging import clock as clock

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.surface import Finding
    from openloop.storage.database import Database
    from tests.make import Clock


async def look(database: Database, workspace: WorkspaceId) -> list[Finding]:
    async with database.transaction(workspace) as tx:
        return await bookmarks_checkup.look(tx)


async def test_a_list_that_is_read_is_well_until_nobody_reads_for_too_long(
    database: Database, workspace: WorkspaceId, clock: Clock
) -> None:
    bookmarks = SurfaceBookmarks(database, workspace, "github", held_seconds=3600)
    async with bookmarks.hold("deliveries") as bookmark:
        [finding] = await look(database, workspace)
        assert (finding.subject, finding.detail) == (
            "github deliveries",
            "nothing has been read yet",
        )
        await bookmark.keep({"through": "noon"})
        [finding] = await look(database, workspace)
        assert finding.ok
        await clock.advance(minutes=16)
        [finding] = await look(database, workspace)
        assert (finding.ok, finding.remedy[:7]) == (False, "See the")
    [finding] = await look(database, workspace)
    assert finding.ok
    assert finding.detail.endswith("nobody reads now")
    await clock.advance(days=2)
    [finding] = await look(database, workspace)
    assert not finding.ok
    assert "Start `openloop serve` soon" in finding.remedy


async def test_a_gap_is_told_for_a_month_with_its_times(
    database: Database, workspace: WorkspaceId, clock: Clock
) -> None:
    async with database.transaction(workspace) as tx:
        now = await tx.now()
    gap = Gap(since=now - timedelta(days=5), until=now - timedelta(days=3))
    async with SurfaceBookmarks(database, workspace, "github").hold("deliveries") as bookmark:
        await bookmark.keep({"through": "noon"}, gap=gap)
    told = [each for each in await look(database, workspace) if not each.ok]
    assert [each.detail for each in told] == [
        f"not all that happened from {gap.since:%Y-%m-%d %H:%M}Z to {gap.until:%Y-%m-%d %H:%M}Z "
        "is read: it was no longer listed, or too large or too much to be read"
    ]
    await clock.advance(days=31)
    assert "no longer listed" not in str(await look(database, workspace))


async def test_a_list_that_is_refused_is_told_for_as_long_as_it_is(
    database: Database, workspace: WorkspaceId
) -> None:
    why = {"since": "2026-11-20T12:00:00Z", "reason": "GitHub does not let our token do this (403)"}
    async with SurfaceBookmarks(database, workspace, "github").hold("repositories") as bookmark:
        await bookmark.keep({"repositories": {}, "unread": {"acme/platform events": why}})
        [told] = [each for each in await look(database, workspace) if not each.ok]
        assert (told.subject, told.detail) == (
            "github repositories",
            "acme/platform events is not read since 2026-11-20 12:00Z: "
            "GitHub does not let our token do this (403)",
        )
        assert "`openloop github check`" in told.remedy
        await bookmark.keep({"repositories": {}, "unread": {}})
        assert [each for each in await look(database, workspace) if not each.ok] == []
