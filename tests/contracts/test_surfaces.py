"""Every surface we ship keeps the surface contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.contracts import SurfaceContract, open_ledger
from openloop.testing.contracts.slack import slack_platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.storage.database import Database
    from openloop.testing.contracts import Ledger, Platform


class TestSlack(SurfaceContract):
    @pytest.fixture
    async def platform(self) -> AsyncIterator[Platform]:
        async with slack_platform() as platform:
            yield platform

    @pytest.fixture
    async def ledger(self, database: Database, platform: Platform) -> Ledger:
        return await open_ledger(database, platform)
