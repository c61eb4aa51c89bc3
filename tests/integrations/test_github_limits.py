"""GitHub's limits: what would pass one is not sent, and what met one waits as long as it must."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import TryLater
from openloop.integrations.github import limits
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import Credential, PersonalToken
from openloop.integrations.github.errors import Ambiguous, RateLimited
from openloop.integrations.github.limits import Limits, shared_limits
from openloop.integrations.github.names import RepoName
from openloop.testing.rigs.faults import DropAnswer
from openloop.testing.rigs.github import (
    GitHubRig,
    GitHubState,
    Hold,
    PrimaryLimit,
    Raw,
    SecondaryLimit,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "ghp_limits_0123456789"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPO = RepoName("acme", "platform")
GET_ISSUE = "GET /repos/{owner}/{repo}/issues/{issue_number}"
COMMENT = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
EDIT = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"


class Clock:
    """The one clock of client and rig."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


class Installed:
    """Tokens as an App has them: each owner's repositories count on limits of their own."""

    login: str | None = None

    async def credential(self, repo: RepoName | None) -> Credential:
        return Credential(token=TOKEN, account=f"installation:{repo.owner if repo else ''}")

    def refused(self, credential: Credential) -> bool:
        del credential
        return False

    async def aclose(self) -> None:
        return None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rig(clock: Clock) -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN, state=GitHubState(clock)) as rig:
        for name in ("acme/platform", "umbrella/platform"):
            repository = rig.state.add_repository(name)
            rig.state.add_issue(repository, "A", by=rig.state.add_user("anna"))
        yield rig


@pytest.fixture
async def client(rig: GitHubRig, clock: Clock) -> AsyncIterator[GitHubClient]:
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN), now=clock) as client:
        yield client


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches soon."""
    monkeypatch.setattr(limits, "WRITTEN_A_MINUTE", 4)
    monkeypatch.setattr(limits, "WRITTEN_AN_HOUR", 6)


async def comment(client: GitHubClient, *, repo: RepoName = REPO) -> None:
    await client.create_comment(repo, 1, body="A", key="run:1")


async def refused_until(client: GitHubClient) -> datetime:
    with pytest.raises(RateLimited) as caught:
        await comment(client)
    assert isinstance(caught.value, TryLater)
    return caught.value.retry_at


@pytest.mark.usefixtures("few")
async def test_no_more_is_written_than_a_minute_and_an_hour_allow(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    for _ in range(4):
        await comment(client)
        clock.pass_(seconds=1)
    assert await refused_until(client) == NOON + timedelta(minutes=1)
    clock.now = NOON + timedelta(seconds=59)
    assert await refused_until(client) == NOON + timedelta(minutes=1)

    clock.pass_(seconds=2)
    await comment(client)
    await comment(client)
    assert await refused_until(client) == NOON + timedelta(hours=1)
    assert (await client.get_issue(REPO, 1)).comments == 6
    clock.now = NOON + timedelta(hours=1, seconds=1)
    await comment(client)
    assert len(rig.made(COMMENT)) == 7


@pytest.mark.usefixtures("few")
async def test_progress_leaves_room_for_what_matters(rig: GitHubRig, client: GitHubClient) -> None:
    made = await client.create_comment(REPO, 1, body="A", key="run:1")

    async def report() -> None:
        await client.update_comment(REPO, made.id, body="B", key="run:1", is_progress=True)

    await report()
    with pytest.raises(RateLimited):
        await report()
    await client.update_comment(REPO, made.id, body="C", key="run:1")
    await comment(client)

    assert [len(rig.made(operation)) for operation in (EDIT, COMMENT)] == [2, 2]


@pytest.mark.usefixtures("few")
async def test_what_is_no_content_does_not_count_as_any(
    rig: GitHubRig, client: GitHubClient
) -> None:
    issue = rig.state.repositories["acme/platform"].issues[1]
    for name in "abcde":
        rig.state.set_label(issue, name, by=issue.author)
        await client.remove_label(REPO, 1, name)
    for _ in range(4):
        await comment(client)
    await refused_until(client)


async def test_a_flood_of_questions_is_held_back(
    rig: GitHubRig, client: GitHubClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POINTS_A_MINUTE", 7)
    await comment(client)
    for _ in range(2):
        await client.get_issue(REPO, 1)
    with pytest.raises(RateLimited) as caught:
        await client.get_issue(REPO, 1)
    assert caught.value.retry_at == NOON + timedelta(minutes=1)
    assert len(rig.calls) == 3

    clock.pass_(seconds=60)
    await client.get_issue(REPO, 1)


async def test_only_so_many_requests_are_under_way(
    rig: GitHubRig, client: GitHubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNDER_WAY", 2)
    monkeypatch.setattr(limits, "SLOT_SECONDS", 0.05)
    hold = Hold()
    rig.faults.fail(GET_ISSUE, with_=hold, times=2)
    asked = [asyncio.create_task(client.get_issue(REPO, 1)) for _ in range(2)]
    await rig.until(lambda: len(rig.made(GET_ISSUE)) == 2)

    with pytest.raises(RateLimited, match="2 requests"):
        await client.get_issue(REPO, 1)
    assert len(rig.calls) == 2

    hold.released.set()
    await asyncio.gather(*asked)
    await client.get_issue(REPO, 1)


async def test_who_waits_for_the_others_goes_when_one_of_them_ends(
    rig: GitHubRig, client: GitHubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNDER_WAY", 1)
    hold = Hold()
    rig.faults.fail(GET_ISSUE, with_=hold)
    first = asyncio.create_task(client.get_issue(REPO, 1))
    await rig.until(lambda: rig.made(GET_ISSUE))
    second = asyncio.create_task(client.get_issue(REPO, 1))

    hold.released.set()

    assert {issue.number for issue in await asyncio.gather(first, second)} == {1}


async def test_who_waits_for_another_that_meets_a_limit_does_not_go(
    rig: GitHubRig, client: GitHubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNDER_WAY", 1)
    hold = Hold()
    rig.faults.fail(GET_ISSUE, with_=hold)
    first = asyncio.create_task(client.get_issue(REPO, 1))
    await rig.until(lambda: rig.made(GET_ISSUE))
    second = asyncio.create_task(comment(client))
    rig.hourly_limit = 1  # the first is the last of this hour

    hold.released.set()

    assert (await first).number == 1
    with pytest.raises(RateLimited):
        await second
    assert len(rig.calls) == 1


async def test_an_unexplained_limit_is_waited_for_longer_each_time(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        rig.faults.fail(COMMENT, with_=SecondaryLimit(retry_after_seconds=None))
        assert await refused_until(client) == clock.now + timedelta(minutes=minutes)
        clock.pass_(minutes=minutes)
    assert len(rig.made(COMMENT)) == 8

    await comment(client)
    rig.faults.fail(COMMENT, with_=SecondaryLimit(retry_after_seconds=None))
    assert await refused_until(client) == clock.now + timedelta(minutes=1)


async def test_several_that_were_under_way_are_one_offence(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    hold = Hold()
    rig.faults.fail(COMMENT, with_=hold, times=3)
    asked = [asyncio.create_task(comment(client)) for _ in range(3)]
    await rig.until(lambda: len(rig.made(COMMENT)) == 3)
    refusals = b'{"message": "You have exceeded a secondary rate limit."}'
    rig.faults.clear()
    rig.faults.fail(GET_ISSUE, with_=Raw(status=403, body=refusals), times=2)
    questions = [asyncio.create_task(client.get_issue(REPO, 1)) for _ in range(2)]

    refused = await asyncio.gather(*questions, return_exceptions=True)
    hold.released.set()
    await asyncio.gather(*asked)

    waits = [getattr(one, "retry_at", None) for one in refused]
    assert waits == [NOON + timedelta(minutes=1)] * 2
    clock.pass_(minutes=1)
    rig.faults.fail(COMMENT, with_=SecondaryLimit(retry_after_seconds=None))
    assert await refused_until(client) == clock.now + timedelta(minutes=2)


async def test_what_github_says_about_waiting_is_what_counts(
    rig: GitHubRig, client: GitHubClient
) -> None:
    rig.faults.fail(COMMENT, with_=SecondaryLimit(status=429, retry_after_seconds=7))
    assert await refused_until(client) == NOON + timedelta(seconds=7)
    assert await refused_until(client) == NOON + timedelta(seconds=7)
    assert len(rig.made(COMMENT)) == 1


async def test_the_last_request_of_the_hour_is_not_followed_by_another(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    rig.hourly_limit = 2
    for _ in range(2):
        await client.get_issue(REPO, 1)
    with pytest.raises(RateLimited) as caught:
        await client.get_issue(REPO, 1)
    assert caught.value.retry_at == NOON + timedelta(hours=1)
    assert [call.status for call in rig.calls] == [200, 200]

    clock.pass_(hours=1)
    await client.get_issue(REPO, 1)


async def test_searching_has_a_count_of_its_own(rig: GitHubRig, client: GitHubClient) -> None:
    rig.faults.fail("GET /search/code", with_=PrimaryLimit())
    with pytest.raises(RateLimited):
        await client.search_code(REPO, "login")
    with pytest.raises(RateLimited):
        await client.search_code(REPO, "login")
    await client.get_issue(REPO, 1)
    assert len(rig.calls) == 2


async def test_one_installation_does_not_wait_for_another(rig: GitHubRig, clock: Clock) -> None:
    other = RepoName("umbrella", "platform")
    async with GitHubClient(rig.api_url, Installed(), now=clock) as client:
        rig.faults.fail(COMMENT, with_=SecondaryLimit())
        await refused_until(client)
        await comment(client, repo=other)
        await refused_until(client)
    assert [call.status for call in rig.calls] == [403, 201]


async def test_all_clients_of_a_process_share_the_limits_of_an_account(
    rig: GitHubRig, clock: Clock
) -> None:
    shared = Limits(clock)
    async with (
        GitHubClient(rig.api_url, PersonalToken(TOKEN), limits=shared, now=clock) as one,
        GitHubClient(rig.api_url, PersonalToken(TOKEN), limits=shared, now=clock) as other,
    ):
        rig.faults.fail(COMMENT, with_=SecondaryLimit())
        await refused_until(one)
        await refused_until(other)
    assert len(rig.calls) == 1


def test_the_shared_limits_are_there_as_long_as_somebody_holds_them() -> None:
    url = "https://github.example/api/v3"
    held = shared_limits(url)
    assert shared_limits(url) is held
    assert shared_limits("https://api.github.com") is not held


@pytest.mark.usefixtures("few")
async def test_a_write_whose_answer_was_lost_counts(rig: GitHubRig, client: GitHubClient) -> None:
    rig.faults.fail(COMMENT, with_=DropAnswer(), times=4)
    for _ in range(4):
        with pytest.raises(Ambiguous):
            await comment(client)
    await refused_until(client)
    assert len(rig.made(COMMENT)) == 4
