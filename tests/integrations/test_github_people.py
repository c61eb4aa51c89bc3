"""What GitHub says of people and repositories, and what is made of its silence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from openloop.domain.audience import PlaceClass
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.errors import GitHubError
from openloop.integrations.github.people import REMEMBERED_SECONDS, Rights
from openloop.integrations.github.toolset import github_toolset
from openloop.testing.rigs.faults import DropAnswer, ServerError, TooMany
from openloop.testing.rigs.github import GitHubRig, PrimaryLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.facts import Access
    from openloop.testing.rigs.github.faults import GitHubFault
    from openloop.testing.rigs.github.state import Role

TOKEN = "ghp_people_0123456789"
PERMISSION = "GET /repos/{owner}/{repo}/collaborators/{username}/permission"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN) as rig:
        yield rig


async def no_findings() -> tuple[()]:
    return ()


@pytest.fixture
async def rights(rig: GitHubRig, clock: Clock) -> AsyncIterator[Rights]:
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN)) as client:
        yield Rights(client, clock=clock)


def repository(rig: GitHubRig, *, private: bool = True, **roles: Role) -> None:
    rig.state.add_repository(
        "acme/vault", private=private, roles={"openloop-bot": "admin", **roles}
    )


def number(rig: GitHubRig, login: str) -> str:
    """An account, as the policy names it."""
    return f"#{rig.state.users[login].id}"


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("none", False, False),
        ("read", True, False),
        ("triage", True, False),
        ("write", True, True),
        ("maintain", True, True),
        ("admin", True, True),
    ],
)
async def test_each_role_may_what_it_may_on_github(
    rig: GitHubRig,
    rights: Rights,
    role: Role,
    reads: bool,  # noqa: FBT001
    writes: bool,  # noqa: FBT001
) -> None:
    repository(rig, anna=role)
    assert await rights.may(number(rig, "anna"), "acme/vault", "read") is reads
    assert await rights.may(number(rig, "anna"), "ACME/Vault", "write") is writes
    assert len(rig.made(PERMISSION)) == 1


async def test_a_number_is_the_person_whatever_their_login_is_today(
    rig: GitHubRig, rights: Rights, clock: Clock
) -> None:
    repository(rig, anna="write")
    anna = number(rig, "anna")
    assert await rights.may(anna, "acme/vault", "write")
    assert not await rights.may("#99999999", "acme/vault", "read")

    rename(rig, "anna", "anna-of-acme")
    clock.now = REMEMBERED_SECONDS
    assert await rights.may(anna, "acme/vault", "write")


async def test_who_takes_a_login_over_takes_no_right_over(rig: GitHubRig, rights: Rights) -> None:
    """Neither by the login, which asks for nobody, nor by the number that had it."""
    repository(rig, anna="none")
    anna = number(rig, "anna")
    rename(rig, "anna", "gone")
    rig.state.add_user("anna")
    rig.state.repositories["acme/vault"].roles[rig.state.users["anna"].id] = "admin"
    assert not await rights.may("anna", "acme/vault", "read")
    assert not await rights.may(anna, "acme/vault", "read")


async def test_a_login_that_passes_on_between_both_questions_answers_for_nobody(
    rig: GitHubRig, rights: Rights
) -> None:
    repository(rig, anna="none")
    anna = number(rig, "anna")
    asked = rights._client.login_of  # pyright: ignore[reportPrivateUsage]

    async def login_of(account: int) -> str:
        login = await asked(account)
        rename(rig, "anna", "gone")
        rig.state.add_user("anna")
        rig.state.repositories["acme/vault"].roles[rig.state.users["anna"].id] = "admin"
        return login

    with mock.patch.object(rights._client, "login_of", login_of):  # pyright: ignore[reportPrivateUsage]
        assert not await rights.may(anna, "acme/vault", "read")


def rename(rig: GitHubRig, login: str, to: str) -> None:
    """An account gets another login: its number stays."""
    user = rig.state.users.pop(login)
    rig.state.users[to] = replace(user, login=to)


async def test_whom_or_what_github_does_not_know_may_nothing(
    rig: GitHubRig, rights: Rights
) -> None:
    repository(rig)
    assert not await rights.may("#1", "acme/vault", "read")
    assert not await rights.may(number(rig, "openloop-bot"), "acme/nowhere", "read")


@pytest.mark.parametrize(
    "person",
    ["", "anna", "4711", "#", "#anna", "# 1", "#-1", "#1\n", "#\u0661", "#" + "9" * 20, "a/b"],
)
async def test_what_is_no_number_is_nobody_and_never_asked_for(
    rig: GitHubRig, rights: Rights, person: str
) -> None:
    repository(rig, anna="write")
    assert not await rights.may(person, "acme/vault", "read")
    assert rig.calls == []


@pytest.mark.parametrize("fault", [ServerError(), TooMany(), DropAnswer(), PrimaryLimit()])
async def test_silence_is_no_answer_and_is_not_remembered(
    rig: GitHubRig, rights: Rights, fault: GitHubFault
) -> None:
    repository(rig, anna="write")
    for _ in range(4):
        rig.faults.fail(PERMISSION, with_=fault)
    with pytest.raises(GitHubError):
        await rights.may(number(rig, "anna"), "acme/vault", "read")


async def test_where_our_account_may_not_ask_nobody_gets_an_answer(
    rig: GitHubRig, rights: Rights
) -> None:
    rig.state.add_repository("acme/vault", roles={"openloop-bot": "read", "anna": "write"})
    with pytest.raises(GitHubError):
        await rights.may(number(rig, "anna"), "acme/vault", "read")


async def test_an_answer_is_good_for_a_minute(rig: GitHubRig, rights: Rights, clock: Clock) -> None:
    repository(rig, anna="write")
    assert await rights.may(number(rig, "anna"), "acme/vault", "write")
    rig.state.repositories["acme/vault"].roles[rig.state.users["anna"].id] = "none"
    clock.now = REMEMBERED_SECONDS - 0.1
    assert await rights.may(number(rig, "anna"), "acme/vault", "write")
    clock.now = REMEMBERED_SECONDS
    assert not await rights.may(number(rig, "anna"), "acme/vault", "write")


@pytest.mark.parametrize(
    ("private", "readers"), [(True, PlaceClass.INTERNAL), (False, PlaceClass.PUBLIC)]
)
async def test_a_public_repository_is_read_by_anybody(
    rig: GitHubRig,
    rights: Rights,
    private: bool,  # noqa: FBT001
    readers: PlaceClass,
) -> None:
    repository(rig, private=private)
    assert await rights.audience("acme/vault") is readers


async def test_a_repository_that_we_are_not_shown_has_no_class(rights: Rights) -> None:
    with pytest.raises(GitHubError):
        await rights.audience("acme/nowhere")


@pytest.mark.parametrize(
    ("repo", "number", "spelling"),
    [
        ("acme/platform", 7, "acme/platform#7"),
        ("acme/platform", 7, "https://github.com/acme/platform/issues/7"),
        ("acme/platform", 7, "https://github.com/acme/platform/pull/7"),
    ],
)
async def test_the_thread_that_a_comment_goes_to_is_its_sink(
    rig: GitHubRig, repo: str, number: int, spelling: str
) -> None:
    toolset = github_toolset(GitHubClient(rig.api_url, PersonalToken(TOKEN)), check=no_findings)
    comment = next(tool for tool in toolset.tools if tool.name == "create_comment")
    assert callable(comment.sinks)
    [sink] = comment.sinks({"repo": repo, "number": number, "body": "Done."})
    assert spelling in sink.spellings
    assert "7" not in sink.spellings
    await toolset.aclose()


@pytest.mark.parametrize("access", ["read", "write"])
async def test_the_toolset_asks_github(rig: GitHubRig, access: Access) -> None:
    repository(rig, anna="read")
    toolset = github_toolset(GitHubClient(rig.api_url, PersonalToken(TOKEN)), check=no_findings)
    assert toolset.may is not None
    assert await toolset.may(number(rig, "anna"), "acme/vault", access) is (access == "read")
    await toolset.aclose()
