"""A Slack workspace with the surface in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.rigs.slack import SlackRig
from tests.integrations.slack import make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def rig() -> AsyncIterator[SlackRig]:
    async with SlackRig(signing_secret=make.SECRET) as rig:
        rig.people.add("priya")
        rig.people.add("anna")
        rig.people.add("ben")
        rig.channels.add("dev-platform", id="C0DEV")
        yield rig


@pytest.fixture
async def slack(rig: SlackRig) -> AsyncIterator[SlackSurface]:
    surface = SlackSurface(make.rig_settings(rig, timeout_seconds=30.0))
    yield surface
    await surface.aclose()
