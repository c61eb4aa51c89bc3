"""The App that is made has exactly what the code uses, and `check` says where something lacks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from openloop.domain.errors import Misconfigured
from openloop.integrations.github import integration
from openloop.integrations.github.check import findings, repository_findings
from openloop.integrations.github.clients import client_of
from openloop.integrations.github.decode import ACTED_ON
from openloop.integrations.github.manifest import app_manifest, form_url
from openloop.integrations.github.permissions import (
    EVENTS,
    PERMISSIONS,
    excessive,
    missing,
    narrowed,
)
from openloop.testing.rigs.github.apps import other_key
from openloop.testing.rigs.github.operations import ROUTES
from tests.integrations.github_events import REPO, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.surface import Finding
    from openloop.integrations.github.settings import GitHubSettings

ALL = {each.name: each.level for each in PERMISSIONS}


def test_the_permissions_are_those_of_the_tools_and_no_others() -> None:
    assert integration.toolset is not None
    toolset = integration.toolset({"GITHUB_TOKEN": "ghp_0123456789"})
    assert toolset is not None
    granted = [grant for each in PERMISSIONS for grant in each.grants]
    assert sorted(granted) == sorted({tool.permission for tool in toolset.tools})


def test_the_events_are_those_that_are_decoded_and_no_others() -> None:
    assert {event.name for event in EVENTS} == ACTED_ON
    assert {event.permission for event in EVENTS} <= set(ALL)


def test_the_guide_lists_the_same() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/github-setup.md").read_text()
    for each in PERMISSIONS:
        named = each.name.replace("_", " ").capitalize()
        assert re.search(rf"\| {named}[^|]*\| {each.level} \| {each.needed_for} \|", guide)
    for event in EVENTS:
        assert f"`{event.name}`" in guide


def test_every_operation_that_the_fake_knows_is_permitted() -> None:
    """Its routes name the permissions that GitHub documents for each."""
    lacking = [
        route.operation
        for route in ROUTES
        if route.permissions
        and not any(
            not missing_level(name, "write" if route.level == "write" else "read")
            for name in route.permissions
        )
    ]
    assert lacking == []


def missing_level(name: str, level: str) -> bool:
    return ALL.get(name) not in ({"read", "write"} if level == "read" else {"write"})


def test_the_manifest_says_where_events_go_and_asks_for_what_is_used() -> None:
    made = app_manifest(request_url="https://openloop.example.com", name="Olly")
    assert made["hook_attributes"] == {
        "url": "https://openloop.example.com/surfaces/github/events",
        "active": True,
    }
    assert made["default_permissions"] == ALL
    assert made["default_events"] == [event.name for event in EVENTS]
    assert made["public"] is False


def test_where_nothing_reaches_us_the_webhook_goes_where_nobody_listens() -> None:
    hook = app_manifest(request_url=None)["hook_attributes"]
    assert hook == {"url": "https://openloop.invalid/surfaces/github/events", "active": True}


def test_the_form_is_filled_in_with_the_same() -> None:
    made = app_manifest(request_url="https://openloop.example.com/gh", name="Olly")
    url = urlsplit(form_url(made, web_url="https://github.com", organization="acme"))
    fields = parse_qsl(url.query)
    assert url._replace(query="").geturl() == (
        "https://github.com/organizations/acme/settings/apps/new"
    )
    assert {(each.name, each.level) for each in PERMISSIONS} < set(fields)
    assert [text for name, text in fields if name == "events[]"] == made["default_events"]
    assert dict(fields)["webhook_url"] == "https://openloop.example.com/gh"


@pytest.mark.parametrize(
    ("url", "name"),
    [("http://openloop.example.com", "Olly"), ("openloop.example.com", "Olly"), (None, "a" * 35)],
)
def test_what_github_would_not_take_is_refused(url: str | None, name: str) -> None:
    with pytest.raises(Misconfigured):
        app_manifest(request_url=url, name=name)


def test_an_organization_that_cannot_be_one_reaches_no_address() -> None:
    with pytest.raises(Misconfigured):
        form_url(app_manifest(request_url=None), web_url="https://github.com", organization="a/b")


def test_permissions_are_compared_by_level() -> None:
    given = {**ALL, "issues": "read", "workflows": "write", "contents": "write"}
    assert [each.name for each in missing(given)] == ["issues"]
    assert excessive(given) == {"contents": "write", "workflows": "write"}
    assert narrowed(given) == {**ALL, "issues": "read"}
    assert missing(ALL) == []
    assert excessive(ALL) == {}


# --- check ---------------------------------------------------------------------------------------


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.rig:
        yield world


async def look(settings: GitHubSettings) -> dict[str, Finding]:
    async with client_of(settings) as client:
        return {each.subject: each for each in await findings(settings, client)}


async def test_all_is_well_with_an_app_as_the_manifest_makes_it(world: World) -> None:
    world.says("@openloop hello")
    found = await look(world.as_app)
    assert [each for each in found.values() if not each.ok] == []
    assert set(found) == {
        "App",
        "clock",
        "events",
        "installation on acme",
        "events by asking",
        "repositories of acme",
        "rate",
    }
    assert found["repositories of acme"].detail == REPO


async def test_no_secret_is_in_what_is_found(world: World) -> None:
    told = json.dumps([each.detail + each.remedy for each in (await look(world.as_app)).values()])
    assert "ghs_" not in told
    assert "eyJ" not in told


async def test_a_key_of_another_app_is_told_first_and_alone(world: World) -> None:
    assert world.as_app.app is not None
    app = replace(world.as_app.app, private_key=other_key())
    found = await look(replace(world.as_app, app=app))
    assert list(found) == ["App"]
    assert "GITHUB_APP_ID and the private key" in found["App"].remedy


async def test_an_app_that_is_installed_nowhere_says_where_to_install_it(world: World) -> None:
    world.app.installations.clear()
    found = await look(world.as_app)
    assert not found["installation"].ok
    assert found["installation"].remedy.endswith("/apps/openloop/installations/new")


async def test_what_is_not_permitted_is_named_with_what_it_is_needed_for(world: World) -> None:
    [acme] = world.app.installations.values()
    acme.permissions |= {"issues": "read", "workflows": "write"}
    world.app.events.remove("workflow_run")
    found = await look(world.as_app)
    assert "issues: write (issues, their comments" in found["installation on acme"].detail
    assert found["events"].detail == "not subscribed: workflow_run"
    acme.permissions["issues"] = "write"
    more = (await look(world.as_app))["installation on acme"]
    assert more.ok
    assert more.detail == "all that is needed, and more: workflows: write"


async def test_a_suspended_installation_is_told(world: World) -> None:
    [acme] = world.app.installations.values()
    acme.suspended_at = world.state.now() - timedelta(days=1)
    found = await look(world.as_app)
    assert found["installation on acme"].detail.startswith("suspended since")


async def test_a_webhook_that_goes_elsewhere_or_is_not_taken_is_told(world: World) -> None:
    settings = replace(world.as_app, webhooks="http", webhook_secret="s3cret-s3cret")
    world.status_code = 200
    world.says("@openloop hello")
    assert (await look(settings))["webhook"].ok
    world.status_code = 401
    world.says("@openloop hello")
    refused = (await look(settings))["webhook"]
    assert not refused.ok
    assert "(401)" in refused.detail
    world.app.hook_url = "https://elsewhere.example/hook"
    assert "has to be /surfaces/github/events" in (await look(settings))["webhook"].remedy
    world.app.hook_url = ""
    assert not (await look(settings))["webhook"].ok


async def test_a_token_says_whose_it_is_and_what_is_left(world: World) -> None:
    world.rig.hourly_limit = 100
    found = await look(world.as_person)
    assert [each for each in found.values() if not each.ok] == []
    assert found["token"].detail.startswith("signed in as openloop-bot at ")
    assert found["rate"].detail == "99 of 100 requests of this hour are left"
    world.state.tokens[world.rig.token].used = 95
    assert not (await look(world.as_person))["rate"].ok
    world.state.revoke_token(world.rig.token)
    assert list(await look(world.as_person)) == ["token"]


async def test_repositories_that_are_named_are_looked_at(world: World) -> None:
    world.state.add_repository("acme/old", archived=True)
    async with client_of(world.as_app) as client:
        found = await repository_findings(client, [REPO, "acme/old", "globex/web", "no name"])
    assert [each.ok for each in found] == [True, False, False, False]
    assert "not installed on globex/web" in found[2].detail
