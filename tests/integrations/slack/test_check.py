"""What `doctor` finds out about a Slack set-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.integrations.slack.manifest import needed_scopes
from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.rigs.faults import Refuse
from tests.integrations.slack import make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.surface import Finding
    from openloop.testing.rigs.slack import SlackRig


@pytest.fixture
async def whole(rig: SlackRig) -> AsyncIterator[SlackSurface]:
    rig.scopes = sorted(needed_scopes(agent_view=True))
    surface = SlackSurface(make.rig_settings(rig, app_token=rig.app_token))
    yield surface
    await surface.aclose()


async def findings(surface: SlackSurface) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await surface.check()}


async def test_a_whole_set_up_has_nothing_to_mend(whole: SlackSurface) -> None:
    found = await findings(whole)
    assert list(found) == [
        "bot token",
        "scopes",
        "clock",
        "events over HTTP",
        "Socket Mode",
        "channels",
    ]
    assert all(finding.ok and not finding.remedy for finding in found.values())
    assert found["scopes"].detail == "exactly those that are needed"
    assert "#dev-platform" in found["channels"].detail


async def test_a_missing_scope_is_named_with_the_way_out(
    rig: SlackRig, whole: SlackSurface
) -> None:
    rig.scopes = [scope for scope in rig.scopes if scope != "users:read"]
    scopes = (await findings(whole))["scopes"]
    assert not scopes.ok
    assert "users:read" in scopes.detail
    assert "reinstall" in scopes.remedy


async def test_a_scope_too_many_is_told(rig: SlackRig, whole: SlackSurface) -> None:
    rig.scopes = [*rig.scopes, "files:write"]
    scopes = (await findings(whole))["scopes"]
    assert scopes.ok
    assert "files:write" in scopes.detail


async def test_a_wrong_token_is_told_and_the_rest_still_looked_at(
    rig: SlackRig, whole: SlackSurface
) -> None:
    rig.faults.token_error = "token_revoked"
    found = await findings(whole)
    assert not found["bot token"].ok
    assert "token_revoked" in found["bot token"].detail
    assert found["Socket Mode"].ok


async def test_an_app_token_that_opens_nothing_is_told(rig: SlackRig, whole: SlackSurface) -> None:
    rig.faults.fail("apps.connections.open", with_=Refuse(error="invalid_auth"))
    assert not (await findings(whole))["Socket Mode"].ok


async def test_a_bot_that_nobody_invited_is_told(rig: SlackRig, whole: SlackSurface) -> None:
    rig.channels.get("C0DEV").bot_is_member = False
    channels = (await findings(whole))["channels"]
    assert (channels.ok, channels.remedy) == (False, "Invite it: /invite @NAME")
