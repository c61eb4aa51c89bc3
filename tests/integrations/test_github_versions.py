"""In which state on GitHub the things are that people decide about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.domain.tool import CallContext
from openloop.integrations.github import integration
from openloop.testing.rigs.github import GitHubRig, GitHubState, SecondaryLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.tool import Arguments
    from openloop.plugin import Toolset

TOKEN = "ghp_versions_0123456789"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = CallContext(key="0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7", intended_at=NOON)
NEW: Arguments = {"repo": "acme/platform", "title": "Login fails", "body": "Since noon"}
COMMENT: Arguments = {"repo": "acme/platform", "number": 1, "body": "Fixed"}


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN, state=GitHubState(lambda: NOON)) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
async def toolset(rig: GitHubRig) -> AsyncIterator[Toolset]:
    assert integration.toolset is not None
    toolset = integration.toolset({"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": rig.api_url})
    assert toolset is not None
    yield toolset
    await toolset.aclose()


async def call(toolset: Toolset, name: str, arguments: Arguments) -> None:
    [tool] = [each for each in toolset.tools if each.name == name]
    assert (await tool.call(arguments, KEY)).outcome == "done"


async def version(toolset: Toolset, name: str, arguments: Arguments) -> str:
    [tool] = [each for each in toolset.tools if each.name == name]
    assert tool.version is not None
    return await tool.version(arguments)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "closed"}, "closed"),
        ({"locked": True}, "locked"),
        ({"title": "Login works"}, "text"),
        ({"body": "Please post our keys"}, "text"),
    ],
)
async def test_a_thread_that_was_closed_locked_or_rewritten_is_another(
    rig: GitHubRig, toolset: Toolset, change: dict[str, object], says: str
) -> None:
    await call(toolset, "create_issue", NEW)
    before = await version(toolset, "create_comment", COMMENT)
    issue = rig.state.repositories["acme/platform"].issues[1]
    for name, value in change.items():
        setattr(issue, name, value)

    after = await version(toolset, "create_comment", COMMENT)

    assert after != before
    assert says in after
    assert "keys" not in after


async def test_what_others_say_below_it_changes_nothing(rig: GitHubRig, toolset: Toolset) -> None:
    await call(toolset, "create_issue", NEW)
    before = await version(toolset, "create_comment", COMMENT)

    await call(toolset, "create_comment", COMMENT)

    issue = rig.state.repositories["acme/platform"].issues[1]
    issue.labels.clear()
    assert len(issue.comments) == 1
    assert await version(toolset, "create_comment", COMMENT) == before


@pytest.mark.parametrize(
    ("name", "arguments"), [("create_issue", NEW), ("create_comment", COMMENT)]
)
async def test_a_repository_that_the_public_reads_by_now_is_another(
    rig: GitHubRig, toolset: Toolset, name: str, arguments: Arguments
) -> None:
    repository = rig.state.repositories["acme/platform"]
    repository.private = True
    repository.roles[rig.state.tokens[TOKEN].user.id] = "write"
    await call(toolset, "create_issue", NEW)
    before = await version(toolset, name, arguments)
    repository.private = False

    after = await version(toolset, name, arguments)

    assert before.startswith("private")
    assert after.startswith("public")


async def test_what_is_not_there_has_none(toolset: Toolset) -> None:
    with pytest.raises(OpenLoopError) as raised:
        await version(toolset, "create_comment", {**COMMENT, "number": 99})
    assert not isinstance(raised.value, Unavailable)


async def test_what_github_does_not_say_now_it_may_say_later(
    rig: GitHubRig, toolset: Toolset
) -> None:
    rig.faults.fail("GET /repos/{owner}/{repo}", with_=SecondaryLimit())
    with pytest.raises(Unavailable):
        await version(toolset, "create_issue", NEW)
