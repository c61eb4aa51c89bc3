"""What somebody may do in a repository: asked by number, for a minute, and refused on error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.surface import Actor, Place
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.errors import Forbidden, Unavailable
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.standing import Standings
from openloop.runtime.people import standing_in
from openloop.testing.contracts.github import BotToken
from openloop.testing.rigs.faults import Refuse, ServerError
from tests.integrations.github.conftest import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.integrations.github.surface import GitHubSurface
    from openloop.testing.rigs.github import GitHubRig

REPO = RepoName("acme", "platform")
ASKED = "GET /repos/{owner}/{repo}/collaborators/{username}/permission"
HERE = Place(surface="github", tenant="127.0.0.1", container="acme/platform")


class Clock:
    """Seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def standings(rig: GitHubRig, clock: Clock) -> AsyncIterator[Standings]:
    async with GitHubClient(rig.api_url, BotToken(TOKEN)) as client:
        yield Standings(client, clock=clock)


def number(rig: GitHubRig, name: str) -> str:
    return str(rig.state.add_user(name).id)


@pytest.mark.parametrize(
    ("role", "standing"),
    [
        ("none", "none"),
        ("read", "read"),
        ("triage", "triage"),
        ("write", "write"),
        ("maintain", "write"),
        ("admin", "write"),
    ],
)
async def test_each_role_has_a_standing(
    rig: GitHubRig, standings: Standings, role: str, standing: str
) -> None:
    anna = rig.state.add_user("anna")
    rig.state.repositories["acme/platform"].roles[anna.id] = role  # pyright: ignore[reportArgumentType]
    person = await standings.of(REPO, str(anna.id))
    assert (person.kind, person.standing, person.name) == ("member", standing, "anna")


async def test_it_is_remembered_for_a_minute_and_asked_again_then(
    rig: GitHubRig, standings: Standings, clock: Clock
) -> None:
    anna = rig.state.add_user("anna")
    assert (await standings.of(REPO, str(anna.id))).standing == "write"
    rig.state.repositories["acme/platform"].roles[anna.id] = "read"
    clock.now += 59
    assert (await standings.of(REPO, str(anna.id))).standing == "write"
    clock.now += 2
    assert (await standings.of(REPO, str(anna.id))).standing == "read"
    assert len(rig.made(ASKED)) == 2


async def test_an_error_is_raised_and_not_remembered(rig: GitHubRig, standings: Standings) -> None:
    anna = number(rig, "anna")
    rig.faults.fail(ASKED, with_=ServerError())
    with pytest.raises(Unavailable):
        await standings.of(REPO, anna)
    rig.faults.fail(ASKED, with_=Refuse("Must have push access"))
    with pytest.raises(Forbidden):
        await standings.of(REPO, anna)
    assert (await standings.of(REPO, anna)).standing == "write"


async def test_whom_github_declines_to_speak_of_may_nothing(
    rig: GitHubRig, surface: GitHubSurface
) -> None:
    actor = Actor(surface="github", tenant=HERE.tenant, id=number(rig, "anna"))
    rig.faults.fail(ASKED, with_=Refuse("Must have push access"))
    assert (await standing_in(surface, HERE, actor, wake_from="triage")).kind == "unknown"
    assert (await standing_in(surface, HERE, actor, wake_from="write")).kind == "member"


async def test_a_login_that_passed_to_somebody_else_gives_them_nothing(
    rig: GitHubRig, standings: Standings
) -> None:
    anna = rig.state.add_user("anna")
    rig.faults.fail("GET /user/{account_id}", with_=Refuse("Not now"))
    with pytest.raises(Forbidden):
        await standings.of(REPO, str(anna.id))
    rig.state.repositories["acme/platform"].roles[anna.id] = "none"
    thief = rig.state.add_user("thief")
    rig.state.repositories["acme/platform"].roles[thief.id] = "write"
    assert (await standings.of(REPO, str(anna.id))).standing == "none"


@pytest.mark.parametrize("user_id", ["", "anna", "-1", "1.0", "\u0661", "9" * 20, "404"])
async def test_what_is_no_number_of_anybody_is_nobody(standings: Standings, user_id: str) -> None:
    person = await standings.of(REPO, user_id)
    assert (person.kind, person.standing) == ("unknown", "none")


async def test_a_bot_is_nobody_whatever_it_may(rig: GitHubRig, standings: Standings) -> None:
    bot = rig.state.add_user("robot[bot]")
    rig.state.repositories["acme/platform"].roles[bot.id] = "write"
    assert (await standings.of(REPO, str(bot.id))).kind == "unknown"
