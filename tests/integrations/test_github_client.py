"""Our GitHub client: what it asks, what it makes of the answers, and what it never does."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.domain.errors import AmbiguousEffect, TryLater
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.errors import (
    Ambiguous,
    Forbidden,
    GitHubError,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
)
from openloop.integrations.github.marker import marked
from openloop.integrations.github.names import InvalidName, RepoName
from openloop.testing.rigs.faults import DropAnswer, DropRequest, ServerError, TooMany
from openloop.testing.rigs.github import (
    ChangedFile,
    CutAnswer,
    GitHubRig,
    GitHubState,
    Hold,
    PrimaryLimit,
    Raw,
    Redirect,
    SecondaryLimit,
)
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.testing.rigs.github.faults import GitHubFault
    from openloop.testing.rigs.github.state import Issue as RigIssue

TOKEN = "ghp_client_0123456789"
KEY = "0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7"
CREATE_ISSUE = "POST /repos/{owner}/{repo}/issues"
LIST_ISSUES = "GET /repos/{owner}/{repo}/issues"
GET_ISSUE = "GET /repos/{owner}/{repo}/issues/{issue_number}"
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


def issues(rig: GitHubRig) -> list[RigIssue]:
    return list(rig.state.repositories["acme/platform"].issues.values())


def open_issue(rig: GitHubRig, title: str, *, login: str = "anna", body: str = "") -> RigIssue:
    repository = rig.state.repositories["acme/platform"]
    return rig.state.add_issue(repository, title, by=rig.state.add_user(login), body=body)


async def test_an_issue_is_read_with_what_people_want_to_know(
    rig: GitHubRig, client: GitHubClient
) -> None:
    made = rig.state.add_issue(
        rig.state.repositories["acme/platform"],
        "Login fails",
        by=rig.state.add_user("anna"),
        body="Since noon",
        labels=["bug"],
        assignees=[rig.state.add_user("ben")],
    )
    rig.state.add_comment(made, "Me too", by=rig.state.add_user("ben"))

    issue = await client.get_issue(REPO, 1)

    assert (issue.title, issue.body, issue.state) == ("Login fails", "Since noon", "open")
    assert (issue.author.login, issue.labels, issue.comments) == ("anna", ("bug",), 1)
    assert [person.login for person in issue.assignees] == ["ben"]
    assert (issue.created_at, issue.is_pull) == (NOON, False)
    assert issue.link == "https://github.test/acme/platform/issues/1"


async def test_a_pull_request_is_read_with_its_branches_and_files(
    rig: GitHubRig, client: GitHubClient
) -> None:
    files = [ChangedFile(filename="app.py", patch="@@"), ChangedFile(filename="logo.png")]
    anna = rig.state.add_user("anna")
    repository = rig.state.repositories["acme/platform"]
    rig.state.add_pull(repository, "Fix", by=anna, head="fix-login", files=files)

    pull, listed = await client.get_pull(REPO, 1), await client.list_pulls(REPO)
    changed = await client.list_pull_files(REPO, 1)

    assert (pull.head, pull.target, pull.changed_files) == ("fix-login", "main", 2)
    assert [(one.number, one.changed_files) for one in listed.items] == [(1, None)]
    assert [(file.filename, file.patch) for file in changed.items] == [
        ("app.py", "@@"),
        ("logo.png", None),
    ]
    assert (await client.get_issue(REPO, 1)).is_pull


async def test_lists_are_read_page_by_page(rig: GitHubRig, client: GitHubClient) -> None:
    for title in "ABC":
        open_issue(rig, title)

    first = await client.list_issues(REPO, page_size=2)
    assert ([issue.title for issue in first.items], first.next_page) == (["C", "B"], 2)
    second = await client.list_issues(REPO, page_size=2, page=2)
    assert ([issue.title for issue in second.items], second.next_page) == (["A"], None)


async def test_a_deleted_author_is_shown_as_github_shows_it(
    rig: GitHubRig, client: GitHubClient
) -> None:
    open_issue(rig, "A")
    await client.get_issue(REPO, 1)
    answer = cast("dict[str, object]", rig.made(GET_ISSUE)[0].answer)
    orphan = json.dumps({**answer, "user": None}).encode()
    rig.faults.fail(GET_ISSUE, with_=Raw(body=orphan))

    assert (await client.get_issue(REPO, 1)).author.login == "ghost"


@pytest.mark.parametrize("number", [0, -1, True, 5.0, 2**31])
async def test_a_number_that_is_none_never_leaves_the_client(
    rig: GitHubRig, client: GitHubClient, number: Any
) -> None:
    with pytest.raises(InvalidName):
        await client.get_issue(REPO, number)
    with pytest.raises(InvalidName):
        await client.create_comment(REPO, number, body="A", key=KEY)
    assert rig.calls == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (Raw(status=401, body=b'{"message":"Bad credentials"}'), Forbidden),
        (Raw(status=403, body=b'{"message":"Resource not accessible"}'), Forbidden),
        (Raw(status=404, body=b'{"message":"Not Found"}'), NotFound),
        (Raw(status=410, body=b'{"message":"Issues disabled"}'), NotFound),
        (Raw(status=422, body=b'{"message":"Validation Failed"}'), Refused),
        (Raw(status=451, body=b"<html>"), Refused),
        (Raw(status=200, body=b"[]"), Refused),
        (Raw(status=200, body=b"<html>"), Refused),
        (Redirect(location="/repositories/1"), Refused),
        (TooMany(), RateLimited),
        (SecondaryLimit(), RateLimited),
        (PrimaryLimit(), RateLimited),
    ],
)
async def test_each_bad_answer_to_a_read_has_its_error(
    rig: GitHubRig, client: GitHubClient, raw: GitHubFault, expected: type[GitHubError]
) -> None:
    open_issue(rig, "A")
    rig.faults.fail(GET_ISSUE, with_=raw)

    with pytest.raises(expected) as caught:
        await client.get_issue(REPO, 1)

    assert type(caught.value) is expected
    assert len(rig.calls) == 1


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    rig: GitHubRig, client: GitHubClient
) -> None:
    rig.faults.fail(WHOAMI, with_=Raw(body=b'{"id":1,"login":"anna"}' + b" " * 6_000_000))
    with pytest.raises(Refused, match="too large: more than 5000000 bytes"):
        await client.whoami()


async def test_what_github_says_of_a_wrong_field_is_passed_on(client: GitHubClient) -> None:
    with pytest.raises(Refused, match=r"\(422\): Validation Failed; title missing_field"):
        await client.create_issue(REPO, title=" ", body="", key=KEY)


async def test_a_private_repository_of_others_is_not_found(
    rig: GitHubRig, client: GitHubClient
) -> None:
    rig.state.add_repository("acme/secret", private=True, roles={"anna": "admin"})
    with pytest.raises(NotFound):
        await client.repository(RepoName("acme", "secret"))


async def test_a_redirect_is_not_followed_anywhere(rig: GitHubRig, client: GitHubClient) -> None:
    async with GitHubRig(token=TOKEN) as elsewhere:
        for status in (301, 302, 307, 308):
            away = Redirect(location=f"{elsewhere.api_url}/user", status=status)
            rig.faults.fail(with_=away, times=2)
            with pytest.raises(Refused, match="moved"):
                await client.get_issue(REPO, 1)
            with pytest.raises(Refused, match="moved"):
                await client.create_comment(REPO, 1, body="A", key=KEY)
        assert elsewhere.calls == []


@pytest.mark.parametrize(
    "fault", [DropRequest(), CutAnswer(), ServerError(status=502), ServerError(status=503)]
)
async def test_a_read_is_repeated_once(
    rig: GitHubRig, client: GitHubClient, fault: GitHubFault
) -> None:
    open_issue(rig, "A")
    rig.faults.fail(GET_ISSUE, with_=fault)
    assert (await client.get_issue(REPO, 1)).title == "A"
    assert len(rig.calls) == 2


@pytest.mark.parametrize(
    ("fault", "most"),
    [(ServerError(status=502), 2), (ServerError(status=500), 1), (DropRequest(), 2)],
)
async def test_a_read_is_not_repeated_for_ever(
    rig: GitHubRig, client: GitHubClient, fault: GitHubFault, most: int
) -> None:
    rig.faults.fail(GET_ISSUE, with_=fault, times=None)
    with pytest.raises(Unavailable):
        await client.get_issue(REPO, 1)
    assert len(rig.calls) == most


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (DropRequest(), 0),
        (DropAnswer(), 1),
        (CutAnswer(), 1),
        (ServerError(status=500), 0),
        (ServerError(status=502, after_commit=True), 1),
        (Raw(status=201, body=b"<html>"), 0),
        (Raw(status=201, body=b" " * 6_000_000), 0),
        (Raw(status=408, body=b"{}"), 0),
    ],
)
async def test_a_write_whose_answer_is_lost_is_ambiguous_and_never_repeated(
    rig: GitHubRig, client: GitHubClient, fault: GitHubFault, made: int
) -> None:
    await client.whoami()
    rig.faults.fail(CREATE_ISSUE, with_=fault)

    with pytest.raises(Ambiguous) as caught:
        await client.create_issue(REPO, title="A", body="B", key=KEY)

    assert isinstance(caught.value, AmbiguousEffect)
    assert len(rig.made(CREATE_ISSUE)) == 1
    assert len(issues(rig)) == made
    found = await client.find_issue_by_marker(REPO, KEY, since=NOON)
    assert (found is not None) == (made == 1)


async def test_no_method_is_repeated_by_the_library_below_us(
    rig: GitHubRig, client: GitHubClient
) -> None:
    repository = rig.state.repositories["acme/platform"]
    anna = rig.state.add_user("anna")
    rig.state.add_issue(repository, "A", by=anna, labels=["bug"])
    remove = "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}"
    rig.faults.fail(remove, with_=DropAnswer())

    with pytest.raises(Ambiguous):
        await client.remove_label(REPO, 1, "bug")

    assert len(rig.made(remove)) == 1


async def test_an_answer_that_takes_too_long_is_not_waited_for(rig: GitHubRig) -> None:
    hold = Hold()
    rig.faults.fail(CREATE_ISSUE, with_=hold)
    rig.faults.fail(GET_ISSUE, with_=hold)
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN), total_seconds=0.2) as client:
        with pytest.raises(Unavailable, match="no answer within"):
            await client.get_issue(REPO, 1)
        with pytest.raises(Ambiguous, match="no answer within"):
            await client.create_issue(REPO, title="A", body="B", key=KEY)
    hold.released.set()
    assert len(rig.calls) == 2


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with GitHubRig(token=TOKEN) as gone:
        url = gone.api_url
    async with GitHubClient(url, PersonalToken(TOKEN)) as client:
        with pytest.raises(Unavailable):
            await client.get_issue(REPO, 1)
        with pytest.raises(Unavailable) as caught:
            await client.create_issue(REPO, title="A", body="B", key=KEY)
    assert isinstance(caught.value, TryLater)


@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        (SecondaryLimit(retry_after_seconds=30), timedelta(seconds=30)),
        (SecondaryLimit(status=429, retry_after_seconds=None), timedelta(seconds=60)),
        (SecondaryLimit(retry_after_seconds=None), timedelta(seconds=60)),
        (SecondaryLimit(retry_after_seconds=10**8), timedelta(hours=1)),
        (PrimaryLimit(reset_seconds=600), timedelta(seconds=600)),
        (PrimaryLimit(status=429, reset_seconds=10**6), timedelta(hours=1)),
        (PrimaryLimit(reset_seconds=-10), timedelta(seconds=1)),
    ],
)
async def test_a_limit_says_when_to_ask_again(
    rig: GitHubRig, client: GitHubClient, fault: GitHubFault, pause: timedelta
) -> None:
    rig.faults.fail(CREATE_ISSUE, with_=fault)

    with pytest.raises(RateLimited) as caught:
        await client.create_issue(REPO, title="A", body="B", key=KEY)

    assert isinstance(caught.value, TryLater)
    assert caught.value.retry_at == NOON + pause
    assert issues(rig) == []


async def test_until_then_nothing_is_sent(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    open_issue(rig, "A")
    rig.faults.fail(GET_ISSUE, with_=SecondaryLimit(retry_after_seconds=30))
    for seconds in (0, 29):
        clock.now = NOON + timedelta(seconds=seconds)
        with pytest.raises(RateLimited):
            await client.get_issue(REPO, 1)
    assert len(rig.calls) == 1

    clock.now = NOON + timedelta(seconds=30)
    assert (await client.get_issue(REPO, 1)).title == "A"


async def test_what_was_made_is_found_by_its_key(rig: GitHubRig, client: GitHubClient) -> None:
    made = await client.create_issue(REPO, title="A", body="B", labels=["bug"], key=KEY)
    said = await client.create_comment(REPO, made.number, body="C", key=f"{KEY}1")

    assert await client.find_issue_by_marker(REPO, KEY, since=NOON) is not None
    found = await client.find_comment_by_marker(REPO, made.number, f"{KEY}1", since=NOON)
    assert found is not None
    assert found.id == said.id
    assert await client.find_issue_by_marker(REPO, f"{KEY}1", since=NOON) is None
    assert await client.find_comment_by_marker(REPO, made.number, KEY, since=NOON) is None
    assert [stray.path for stray in rig.strays] == []


async def test_a_mark_that_a_person_pasted_does_not_count(
    rig: GitHubRig, client: GitHubClient
) -> None:
    pasted = open_issue(rig, "A", body=marked("B", KEY))
    rig.state.add_comment(pasted, marked("C", KEY), by=rig.state.add_user("anna"))

    assert await client.find_issue_by_marker(REPO, KEY, since=NOON) is None
    assert await client.find_comment_by_marker(REPO, 1, KEY, since=NOON) is None


async def test_a_mark_below_the_name_of_our_account_counts_only_if_it_is_our_account(
    rig: GitHubRig, client: GitHubClient
) -> None:
    open_issue(rig, "A", login="openloop-bot", body=marked("B", KEY))
    rig.faults.fail(WHOAMI, with_=Raw(body=b'{"id":1,"login":"openloop-bot"}'))

    assert await client.find_issue_by_marker(REPO, KEY, since=NOON) is None


async def test_a_mark_that_a_model_wrote_into_its_text_does_not_count(
    client: GitHubClient,
) -> None:
    await client.create_issue(REPO, title="A", body=marked("B", KEY), key=f"{KEY}1")
    assert await client.find_issue_by_marker(REPO, KEY, since=NOON) is None


async def test_what_is_older_than_the_intent_does_not_count(
    rig: GitHubRig, client: GitHubClient, clock: Clock
) -> None:
    old = await client.create_issue(REPO, title="A", body="B", key=KEY)
    clock.now = NOON + timedelta(hours=1)
    await client.create_comment(REPO, old.number, body="C", key=f"{KEY}1")

    assert await client.find_issue_by_marker(REPO, KEY, since=clock.now) is None
    assert len(rig.made(LIST_ISSUES)) == 1


async def test_a_closed_issue_of_ours_is_found_below_many_others(
    rig: GitHubRig, client: GitHubClient
) -> None:
    made = await client.create_issue(REPO, title="A", body="B", key=KEY)
    rig.state.close(issues(rig)[0])
    for number in range(120):
        open_issue(rig, f"Ours {number}", login="openloop-bot")
        open_issue(rig, f"Others {number}")

    found = await client.find_issue_by_marker(REPO, KEY, since=NOON)

    assert found is not None
    assert found.number == made.number
    assert len(rig.made(LIST_ISSUES)) == 2


async def test_a_list_without_end_is_not_read_to_its_end(
    rig: GitHubRig, client: GitHubClient
) -> None:
    for number in range(1001):
        open_issue(rig, f"Ours {number}", login="openloop-bot")
    with pytest.raises(Ambiguous, match="10 pages"):
        await client.find_issue_by_marker(REPO, KEY, since=NOON)
    assert len(rig.made(LIST_ISSUES)) == 10


async def test_a_text_that_is_too_long_with_its_mark_is_refused_before(
    rig: GitHubRig, client: GitHubClient
) -> None:
    with pytest.raises(Refused, match="too long"):
        await client.create_issue(REPO, title="A", body="B" * 65_500, key=KEY)
    assert rig.calls == []


@pytest.mark.parametrize(
    "fault",
    [
        Raw(status=422, body=f'{{"message":"Who sent {TOKEN}?"}}'.encode()),
        Raw(status=403, body=f'{{"message":"{"x" * 290}{TOKEN}"}}'.encode()),
        Raw(status=201, body=f'{{"number":"{TOKEN}"}}'.encode()),
        DropAnswer(),
        CutAnswer(),
        ServerError(),
        SecondaryLimit(),
    ],
)
async def test_no_error_holds_the_token(
    rig: GitHubRig, client: GitHubClient, fault: GitHubFault
) -> None:
    rig.faults.fail(CREATE_ISSUE, with_=fault)
    with pytest.raises(GitHubError) as caught:
        await client.create_issue(REPO, title="A", body="B", key=KEY)

    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert TOKEN[:12] not in "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.oracle
async def test_everything_the_client_asks_is_documented_by_github(
    rig: GitHubRig, client: GitHubClient
) -> None:
    oracle = Oracle.load_or_skip()
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    rig.state.add_pull(repository, "Fix", by=anna, head="fix", files=[ChangedFile(filename="a")])
    await client.repository(REPO)
    await client.create_issue(REPO, title="A", body="B", labels=["bug"], key=KEY)
    await client.create_comment(REPO, 2, body="C", key=KEY)
    await client.get_issue(REPO, 2)
    await client.list_issues(REPO, state="all", labels=["bug"], creator="anna", since=NOON)
    await client.find_issue_by_marker(REPO, KEY, since=NOON)
    await client.find_comment_by_marker(REPO, 2, KEY, since=NOON)
    await client.list_pulls(REPO, state="closed")
    await client.get_pull(REPO, 1)
    await client.list_pull_files(REPO, 1)

    assert [found for made in rig.calls for found in oracle.deviations(made)] == []
    assert rig.strays == []
    assert len({made.operation for made in rig.calls}) == 10
