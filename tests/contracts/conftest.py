"""A fake GitHub and its caller; slack_rig has a fake Slack in place of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from openloop.testing.rigs.github import GitHubRig
from tests.contracts.github_shapes.caller import TOKEN, Caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    """With one repository."""
    async with GitHubRig(token=TOKEN) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
async def call(rig: GitHubRig) -> AsyncIterator[Caller]:
    """A client that does nothing but call."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        yield Caller(rig, http)
