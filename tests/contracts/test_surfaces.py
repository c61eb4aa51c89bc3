"""Every surface we ship keeps the surface contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.testing.contracts import SurfaceContract, TakesIn, open_ledger
from openloop.testing.contracts.console import ConsolePlatform
from openloop.testing.contracts.github import github_platform
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


class TestGitHub(SurfaceContract):
    @pytest.fixture
    async def platform(self) -> AsyncIterator[Platform]:
        async with github_platform() as platform:
            yield platform

    async def test_a_captured_delivery_under_another_id_is_taken_once(
        self, platform: Platform, ledger: Ledger
    ) -> None:
        """The signature covers neither the id nor the name of the event."""
        said = await platform.say("summarize this", by="ben")
        (delivery,) = said.deliveries
        await ledger.take(delivery)
        for changed in (
            {"x-github-delivery": "00000000-0000-0000-0000-000000000000"},
            {"x-github-delivery": "another", "x-github-event": "issue_comment"},
            {"x-github-delivery": "and-another", "x-github-event": "pull_request"},
            {"x-github-delivery": "the-last", "x-github-event": "check_run"},
        ):
            await ledger.take(replace(delivery, headers={**delivery.headers, **changed}))
        assert len(await ledger.runs()) == 1


class TestConsole(TakesIn):
    """What goes out of it stays in our rows: tests/stories/test_console.py follows it there."""

    @pytest.fixture
    def platform(self) -> Incoming:
        return ConsolePlatform()
