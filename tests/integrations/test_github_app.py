"""Signing in as a GitHub App: whose tokens, how long they are used, and what puts them right."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.integrations.github.app_auth import AppCredentials
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.errors import Forbidden, GitHubError, NotFound
from openloop.integrations.github.limits import Limits
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.integrations.github.settings import AppSettings, GitHubSettings
from openloop.testing.rigs.faults import ServerError
from openloop.testing.rigs.github import GitHubRig, Hold
from openloop.testing.rigs.github.apps import GitHubApp, other_key, rig_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openloop.testing.rigs.github.apps import AppInstallation

REPO, OTHER = RepoName("acme", "platform"), RepoName("globex", "web")
TOKENS = "POST /app/installations/{installation_id}/access_tokens"
FIND = "GET /repos/{owner}/{repo}/installation"
GET_REPO = "GET /repos/{owner}/{repo}"


class Clock:
    """This machine's clock, which a test may put wrong; GitHub's is the true one."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token="ghp_0123456789") as rig:
        rig.state.add_repository("acme/platform", private=True)
        rig.state.add_repository("globex/web", private=True)
        yield rig


@pytest.fixture
def app(rig: GitHubRig) -> GitHubApp:
    rig.state.app = GitHubApp(
        rig.state,
        permissions={each.name: each.level for each in PERMISSIONS},
        events=[each.name for each in EVENTS],
    )
    return rig.state.app


@pytest.fixture
def acme(app: GitHubApp) -> AppInstallation:
    return app.install("acme")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def credentials_of(
    rig: GitHubRig, app: GitHubApp, clock: Clock, *, key: str = "", file: str | None = None
) -> AppCredentials:
    app_settings = AppSettings(id=str(app.id), private_key=key or rig_key(), private_key_file=file)
    settings = GitHubSettings(app=app_settings, api_url=rig.api_url)
    return AppCredentials(settings, limits=Limits(), now=clock)


@pytest.fixture
async def client(rig: GitHubRig, app: GitHubApp, clock: Clock) -> AsyncIterator[GitHubClient]:
    async with GitHubClient(rig.api_url, credentials_of(rig, app, clock)) as client:
        yield client


async def test_a_repository_is_read_with_the_token_of_its_installation(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, client: GitHubClient
) -> None:
    globex = app.install("globex", repositories=["globex/web"])

    assert (await client.repository(REPO)).full_name == "acme/platform"
    assert (await client.repository(OTHER)).full_name == "globex/web"

    assert [call.login for call in rig.made(GET_REPO)] == ["openloop[bot]"] * 2
    assert (len(acme.tokens), len(globex.tokens)) == (1, 1)


async def test_a_token_is_asked_for_once_by_however_many_at_once(
    rig: GitHubRig, acme: AppInstallation, client: GitHubClient
) -> None:
    hold = Hold()
    rig.faults.fail(TOKENS, with_=hold)
    asking = [asyncio.create_task(client.repository(REPO)) for _ in range(8)]
    await rig.until(lambda: rig.made(TOKENS))
    hold.released.set()
    await asyncio.gather(*asking)
    assert len(rig.made(TOKENS)) == 1
    assert len(acme.tokens) == 1


async def test_a_token_asks_for_no_more_than_the_code_uses(
    rig: GitHubRig, app: GitHubApp, client: GitHubClient
) -> None:
    """Also where the App was given more, or less, by whoever made it."""
    app.install("acme", permissions={"issues": "write", "contents": "write", "workflows": "write"})
    rig.state.repositories["acme/platform"].private = False
    await client.repository(REPO)
    [call] = rig.made(TOKENS)
    assert call.content == {"permissions": {"issues": "write", "contents": "read"}}


async def test_a_token_is_renewed_before_its_hour_is_over(
    rig: GitHubRig, acme: AppInstallation, client: GitHubClient, clock: Clock
) -> None:
    await client.repository(REPO)
    clock.ahead += timedelta(minutes=54)
    await client.repository(REPO)
    assert len(acme.tokens) == 1
    clock.ahead += timedelta(minutes=2)
    await client.repository(REPO)
    assert len(acme.tokens) == 2
    assert [call.status for call in rig.made(GET_REPO)] == [200, 200, 200]


async def test_a_token_that_ended_early_is_replaced_and_the_request_made_again(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, client: GitHubClient
) -> None:
    await client.repository(REPO)
    app.end_tokens(acme)
    issue = await client.create_issue(REPO, title="A", body="B", key="run:1")
    assert issue.number == 1
    assert [call.status for call in rig.made("POST /repos/{owner}/{repo}/issues")] == [401, 201]
    assert len(rig.made(FIND)) == 2  # which installation it is may be what has changed


@pytest.mark.parametrize("hours", [-3, -1, 1, 3])
async def test_a_wrong_clock_is_found_out_and_reckoned_with(
    rig: GitHubRig, acme: AppInstallation, client: GitHubClient, clock: Clock, hours: int
) -> None:
    clock.ahead = timedelta(hours=hours)
    for _ in range(3):
        await client.repository(REPO)
    assert len(acme.tokens) == 1
    refused = [call for call in rig.calls if call.status == 401]
    assert len(refused) <= 2  # the first, and the one that asks what time it is


@pytest.mark.parametrize("seconds", [-45, 45])
async def test_a_clock_that_is_a_little_wrong_costs_nothing(
    rig: GitHubRig, acme: AppInstallation, client: GitHubClient, clock: Clock, seconds: int
) -> None:
    clock.ahead = timedelta(seconds=seconds)
    await client.repository(REPO)
    assert not [call for call in rig.calls if call.status == 401]


async def test_a_key_that_is_replaced_in_its_file_is_taken_up(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "app.pem"
    file.write_text(rig_key())
    file.chmod(0o600)
    credentials = credentials_of(rig, app, clock, file=str(file))
    async with GitHubClient(rig.api_url, credentials) as client:
        await client.repository(REPO)
        file.write_text(other_key())
        app.public_keys = [other_key()]
        app.end_tokens(acme)
        await client.repository(REPO)


async def test_a_key_that_github_does_not_know_is_refused_in_words_and_never_shown(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, clock: Clock
) -> None:
    credentials = credentials_of(rig, app, clock, key=other_key())
    async with GitHubClient(rig.api_url, credentials) as client:
        with pytest.raises(Forbidden, match="could not be decoded") as refused:
            await client.repository(REPO)
    assert "eyJ" not in str(refused.value)
    assert "PRIVATE" not in str(refused.value)


async def test_where_it_is_not_installed_the_repository_is_named(
    acme: AppInstallation, client: GitHubClient
) -> None:
    with pytest.raises(NotFound, match="not installed on globex/web"):
        await client.repository(OTHER)


async def test_a_suspended_installation_says_so_and_goes_on_once_it_is_lifted(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, client: GitHubClient
) -> None:
    acme.suspended_at = rig.state.now()
    with pytest.raises(Forbidden, match="suspended on acme"):
        await client.repository(REPO)
    acme.suspended_at = None
    await client.repository(REPO)

    acme.suspended_at = rig.state.now()  # while we hold a token, which ends with it
    app.end_tokens(acme)
    with pytest.raises(GitHubError, match="suspended"):
        await client.repository(REPO)


async def test_an_app_that_is_installed_anew_is_found_at_its_new_installation(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, client: GitHubClient
) -> None:
    await client.repository(REPO)
    app.uninstall(acme)
    with pytest.raises(NotFound, match="not installed on acme/platform"):
        await client.repository(REPO)
    again = app.install("acme")
    await client.repository(REPO)
    assert len(again.tokens) == 1


async def test_permissions_that_were_taken_away_meanwhile_are_asked_for_no_more(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, client: GitHubClient, clock: Clock
) -> None:
    await client.repository(REPO)
    del acme.permissions["checks"]
    clock.ahead += timedelta(minutes=56)
    with pytest.raises(GitHubError, match="not granted"):
        await client.repository(REPO)
    await client.repository(REPO)


async def test_it_writes_as_its_bot_whose_number_is_looked_up(
    app: GitHubApp, acme: AppInstallation, client: GitHubClient
) -> None:
    me = await client.me(REPO)
    assert (me.login, me.id) == ("openloop[bot]", app.bot.id)


async def test_trouble_at_github_is_told_as_such_and_nothing_is_forgotten(
    rig: GitHubRig, acme: AppInstallation, client: GitHubClient
) -> None:
    rig.faults.fail(TOKENS, with_=ServerError(status=502))
    with pytest.raises(GitHubError, match="502"):
        await client.repository(REPO)
    await client.repository(REPO)
    assert len(rig.made(FIND)) == 1


async def test_no_credential_shows_its_token(
    rig: GitHubRig, app: GitHubApp, acme: AppInstallation, clock: Clock
) -> None:
    credentials = credentials_of(rig, app, clock)
    credential = await credentials.credential(REPO)
    assert acme.tokens[0] not in repr(credential)
    assert credential.account == f"installation:{acme.id}"
    await credentials.aclose()
