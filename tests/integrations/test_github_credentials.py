"""As whom the client asks GitHub: a token for each request, another where one is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import Credential, PersonalToken
from openloop.integrations.github.errors import Forbidden
from openloop.integrations.github.marker import marked
from openloop.integrations.github.names import RepoName
from openloop.testing.rigs.github import GitHubRig, GitHubState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.testing.rigs.github.rows import Issue

TOKEN = "ghp_client_0123456789"
KEY = "0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7"
WHOAMI = "GET /user"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPO = RepoName("acme", "platform")


class Clock:
    """The one clock of client and rig."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rig(clock: Clock) -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN, state=GitHubState(clock)) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
async def client(rig: GitHubRig, clock: Clock) -> AsyncIterator[GitHubClient]:
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN), now=clock) as client:
        yield client


def issues(rig: GitHubRig) -> list[Issue]:
    return list(rig.state.repositories["acme/platform"].issues.values())


class Renewed:
    """Credentials with a second token, as an App has them."""

    login: str | None = None

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked_for: list[RepoName | None] = []

    async def credential(self, repo: RepoName | None) -> Credential:
        self.asked_for.append(repo)
        return Credential(token=self.tokens[0], account="installation:7")

    def refused(self, credential: Credential) -> bool:
        self.tokens = [one for one in self.tokens if one != credential.token] or self.tokens
        return self.tokens[0] != credential.token

    async def aclose(self) -> None:
        """There is nothing to close."""


async def test_the_token_is_asked_for_each_time(rig: GitHubRig) -> None:
    credentials = Renewed(TOKEN)
    rig.state.add_token("ghp_next", login="anna")
    async with GitHubClient(rig.api_url, credentials) as client:
        assert (await client.whoami()).login == "openloop-bot"
        credentials.tokens = ["ghp_next"]
        assert (await client.whoami()).login == "anna"
        await client.repository(REPO)
    assert credentials.asked_for == [None, None, REPO]


async def test_who_we_are_is_asked_again_after_a_while(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    me = await client.me()
    assert (me, me.login) == (await client.me(REPO), "openloop-bot")
    assert len(rig.made(WHOAMI)) == 1
    clock.now += timedelta(minutes=10)
    await client.me()
    assert len(rig.made(WHOAMI)) == 2


async def test_a_refused_token_is_replaced_and_the_write_made_once(rig: GitHubRig) -> None:
    credentials = Renewed("ghs_old", TOKEN)
    async with GitHubClient(rig.api_url, credentials) as client:
        await client.create_issue(REPO, title="A", body="B", key=KEY)
    assert [call.status for call in rig.calls] == [401, 201]
    assert len(issues(rig)) == 1


async def test_what_an_app_wrote_is_found_by_the_id_of_its_bot(rig: GitHubRig) -> None:
    repository, bot = rig.state.repositories["acme/platform"], "openloop[bot]"
    rig.state.add_user(bot, kind="Bot")
    rig.state.add_token("ghs_app", login=bot)
    rig.state.add_issue(repository, "Ours", by=rig.state.users[bot], body=marked("B", KEY))
    rig.state.add_issue(
        repository, "Theirs", by=rig.state.add_user("mallory"), body=marked("B", KEY)
    )
    credentials = Renewed("ghs_app")
    credentials.login = bot
    async with GitHubClient(rig.api_url, credentials) as client:
        found = await client.find_issue_by_marker(REPO, KEY, since=NOON)
    assert found is not None
    assert found.title == "Ours"
    assert rig.calls[0].path == "/users/openloop%5Bbot%5D"


async def test_a_token_that_nothing_replaces_is_refused_once(rig: GitHubRig) -> None:
    async with GitHubClient(rig.api_url, Renewed("ghs_old", "ghs_older")) as client:
        with pytest.raises(Forbidden):
            await client.get_issue(REPO, 1)
    assert [call.status for call in rig.calls] == [401, 401]
