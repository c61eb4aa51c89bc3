"""Every surface we ship keeps the surface contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.contracts import SurfaceContract, TakesIn, open_ledger
from openloop.testing.contracts.console import ConsolePlatform
from openloop.testing.contracts.slack import slack_platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.storage.database import Database
    from openloop.testing.contracts import Incoming, Ledger, Platform


@pytest.fixture
async def ledger(database: Database, platform: Incoming) -> Ledger:
    return await open_ledger(database, platform)


class TestSlack(SurfaceContract):
    @pytest.fixture
    async def platform(self) -> AsyncIterator[Platform]:
        async with slack_platform() as platform:
            yield platform


class TestConsole(TakesIn):
    """What goes out of it stays in our rows: tests/stories/test_console.py follows it there."""

    @pytest.fixture
    def platform(self) -> Incoming:
        return ConsolePlatform()
