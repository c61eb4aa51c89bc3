"""When reading begins: as soon as an agent is bound, however seldom the list is looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.integrations.github import polling
from openloop.integrations.github.clients import app_api_of
from openloop.integrations.github.deliveries import LIST, Deliveries
from openloop.integrations.github.polling import keep_reading
from tests.integrations.github_events import Inbox, World
from tests.staging import stage as stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.plugin import BoundPlace
    from tests.make import Stage

LIST_DELIVERIES = "GET /app/hook/deliveries"


class Bookmarks(SurfaceBookmarks):
    """Bookmarks that tell when somebody has asked them what is bound."""

    were_asked: asyncio.Event

    async def places(self) -> Sequence[BoundPlace]:
        found = await super().places()
        self.were_asked.set()
        return found


async def test_what_is_missed_after_an_agent_is_bound_is_not_older_than_the_first_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "UNBOUND_SECONDS", 0.01)
    world = World()
    async with world.rig:
        surface = await world.surface(world.as_app)
        world.rig.calls.clear()
        api = app_api_of(world.client)
        assert api is not None
        reader = Deliveries(api, accept=surface.accept, only_missed=True, every_seconds=3600)
        bookmarks = Bookmarks(stage.database, stage.workspace, "github", try_seconds=0.01)
        bookmarks.were_asked = asyncio.Event()
        keeping = keep_reading(LIST, reader, Inbox(), bookmarks, prepare=surface.identify)
        reading = asyncio.create_task(keeping)
        async with asyncio.timeout(5):
            await bookmarks.were_asked.wait()
        assert world.rig.calls == []

        await world.bind(stage)
        await world.rig.until(lambda: world.rig.made(LIST_DELIVERIES), timeout_seconds=5)

        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await surface.aclose()
