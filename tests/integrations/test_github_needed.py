"""What the App asks for is used, all of it: a request for each level, and a reader for each event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import pytest

from openloop.domain.surface import Delivery, Say, Thread
from openloop.domain.tool import CallContext
from openloop.integrations.github.clients import client_of
from openloop.integrations.github.errors import Forbidden
from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.integrations.github.toolset import github_toolset
from openloop.testing.rigs.github import JobPlan
from openloop.testing.rigs.github.operations import ROUTES
from tests.integrations.github_events import REPO, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from openloop.domain.surface import Finding
    from openloop.domain.tool import Arguments
    from openloop.integrations.github.surface import GitHubSurface
    from openloop.plugin import Toolset

ALL = {each.name: each.level for each in PERMISSIONS}
LEVELS = [
    (each.name, level)
    for each in PERMISSIONS
    for level in (("read",) if each.level == "read" else ("read", "write"))
]


class Product:
    """Both faces of GitHub, as an installation with these permissions has them."""

    def __init__(self, world: World, surface: GitHubSurface, toolset: Toolset) -> None:
        self.world, self.surface, self.toolset = world, surface, toolset

    @property
    def commit(self) -> str:
        return self.world.repository.history.branches["main"]

    async def call(self, name: str, arguments: Arguments) -> bool:
        """Whether GitHub let a tool do what it does."""
        tool = next(one for one in self.toolset.tools if one.name == name)
        context = CallContext(key=f"a-run:{name}", intended_at=datetime.now(UTC))
        result = await tool.call({"repo": REPO, **arguments}, context)
        return result.outcome == "done"

    async def knows(self) -> bool:
        """Whether GitHub said what somebody may do there."""
        try:
            await self.surface.person_in(self.world.place, str(self.world.anna.id))
        except Forbidden:
            return False
        return True

    async def reports(self) -> bool:
        """Whether something could be said beside a commit."""
        thread = Thread(place=self.world.place, root=f"commit/{self.commit}")
        receipt = await self.surface.perform(Say(markdown="It is red."), thread, key="a-key")
        return receipt.outcome == "done"


OPEN: Arguments = {"title": "Login fails", "body": "Since noon"}
DRAFT: Arguments = {"title": "Fix", "body": "", "from_branch": "fix", "into_branch": "main"}
REQUESTS: dict[tuple[str, str], Callable[[Product], Awaitable[bool]]] = {
    ("metadata", "read"): lambda product: product.knows(),
    ("issues", "read"): lambda product: product.call("list_issues", {}),
    ("issues", "write"): lambda product: product.call("create_issue", OPEN),
    ("pull_requests", "read"): lambda product: product.call("list_pulls", {}),
    ("pull_requests", "write"): lambda product: product.call("create_draft_pull", DRAFT),
    ("contents", "read"): lambda product: product.call("get_file", {"path": "app.py"}),
    ("checks", "read"): lambda product: product.call("list_check_runs", {"ref": product.commit}),
    ("checks", "write"): lambda product: product.reports(),
    ("actions", "read"): lambda product: product.call("list_action_runs", {}),
}
"""For each level something that the product does, and cannot do with less."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A private repository: what is public is read by everybody, whatever they were given."""
    world = World()
    world.repository.private = True
    for branch in ("main", "fix"):
        world.state.commits.add(
            world.repository, branch, by=world.anna, branch=branch, files={"app.py": branch}
        )
    async with world.rig:
        yield world


async def is_let(world: World, given: dict[str, str], name: str, level: str) -> bool:
    """Whether the request of a level is taken from an App with these permissions."""
    [installation] = world.app.installations.values()
    installation.permissions = given
    surface = await world.surface(world.as_app)

    async def check() -> Sequence[Finding]:
        return ()

    client = client_of(world.as_app)
    toolset = github_toolset(client, check=check)
    try:
        return await REQUESTS[name, level](Product(world, surface, toolset))
    finally:
        await surface.aclose()
        await client.aclose()


def test_each_level_has_a_request_and_each_request_its_level() -> None:
    assert set(REQUESTS) == set(LEVELS)


@pytest.mark.parametrize(("name", "level"), LEVELS)
async def test_no_permission_is_asked_for_without_which_everything_works(
    world: World, name: str, level: str
) -> None:
    less = {each: given for each, given in ALL.items() if each != name}
    if level == "write":
        less[name] = "read"

    assert not await is_let(world, less, name, level)
    refused = {call.operation for call in world.rig.calls if call.status == 403}
    needed = [route for route in ROUTES if route.operation in refused]
    assert [(route.permissions, route.level) for route in needed] == [((name,), level)]

    assert await is_let(world, dict(ALL), name, level)


async def test_no_event_is_asked_for_that_becomes_nothing(world: World) -> None:
    """Of everything that GitHub can tell us of, somebody does that which is meant for us."""
    surface = await world.surface(world.as_app)
    world.app.deliveries.clear()
    act(world)

    heard: set[str] = set()
    for each in world.app.deliveries:
        delivery = Delivery(
            headers={"x-github-event": each.event, "x-github-delivery": each.guid},
            body=orjson.dumps(each.payload),
            received_at=datetime.now(UTC),
            transport="poll",
        )
        heard |= {each.event for _ in surface.accept(delivery).events}
    await surface.aclose()

    assert heard == {event.name for event in EVENTS}


def act(world: World) -> None:
    """Everything that is meant for an agent, done once."""
    state, anna, repository = world.state, world.anna, world.repository
    asking = "@openloop why does it fail?"
    state.add_issue(repository, "It fails", by=anna, body=asking)
    world.says(asking)
    pull = state.add_pull(repository, "Fix", by=anna, head="fix", body=asking)
    state.add_review(pull, by=anna, body=asking)
    state.add_review_comment(pull, asking, by=anna)
    commit = repository.history.branches["main"]
    suite = state.ci.suite(repository, commit)
    external = f"openloop {pull.number} a-token-of-ours"
    check = state.ci.check(repository, suite, "OpenLoop", by=anna, external_id=external)
    state.ci.click(repository, check, "approve", by=anna)
    state.ci.run(repository, commit, jobs=[JobPlan(name="test", conclusion="failure")], by=anna)
