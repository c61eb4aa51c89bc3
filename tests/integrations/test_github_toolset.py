"""The GitHub tools: what an agent may ask, what people see of it, and what comes back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.domain.errors import AmbiguousEffect, Invalid, Misconfigured, TryLater
from openloop.domain.surface import Field
from openloop.domain.tool import CallContext, Effect, ToolResult
from openloop.integrations.github import integration
from openloop.integrations.github.settings import GitHubSettings
from openloop.testing.rigs.faults import DropAnswer, DropRequest, TooMany
from openloop.testing.rigs.github import ChangedFile, GitHubRig, GitHubState, SecondaryLimit
from openloop.tools.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.tool import Arguments
    from openloop.plugin import Tool, Toolset
    from openloop.testing.rigs.github.faults import GitHubFault

TOKEN = "ghp_toolset_0123456789"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONTEXT = CallContext(key="0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7", intended_at=NOON)
CREATE_ISSUE = "POST /repos/{owner}/{repo}/issues"
LIST_ISSUES = "GET /repos/{owner}/{repo}/issues"
ANYTHING: Arguments = {
    "number": 1,
    "labels": ["bug"],
    "label": "bug",
    "from_branch": "fix",
    "into_branch": "main",
    "comment_id": 1,
    "ref": "main",
    "run_id": 1,
    "older": "main",
    "newer": "fix",
    "path": "src/app.py",
    "words": "login",
}
ISSUE: Arguments = {"repo": "acme/platform", "title": "Login fails", "body": "Since noon"}


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN, state=GitHubState(lambda: NOON)) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
async def toolset(rig: GitHubRig) -> AsyncIterator[Toolset]:
    toolset = made({"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": rig.api_url})
    yield toolset
    await toolset.aclose()


def made(environment: dict[str, str]) -> Toolset:
    assert integration.toolset is not None
    toolset = integration.toolset(environment)
    assert toolset is not None
    return toolset


def tool(toolset: Toolset, name: str) -> Tool:
    return next(one for one in toolset.tools if one.name == name)


def content(result: ToolResult) -> dict[str, Any]:
    assert result.outcome == "done"
    return cast("dict[str, Any]", result.content)


def documented() -> set[tuple[str, str, str]]:
    """Name, effect and permission of each tool in the table of the reference."""
    page = (Path(__file__).parents[2] / "docs/reference/github.md").read_text()
    row = re.compile(r"^\| `(\w+)` \| (read|write) \| `(\w+:\w+)` \|", re.MULTILINE)
    return {(found[1], found[2], found[3]) for found in row.finditer(page)}


async def test_what_each_tool_needs_and_does_is_documented(toolset: Toolset) -> None:
    declared = {(one.name, str(one.effect), one.permission) for one in toolset.tools}
    assert declared == documented()
    assert len(declared) == len(toolset.tools)


async def test_every_write_says_what_it_reaches_and_how_it_is_found_again(
    toolset: Toolset,
) -> None:
    for one in toolset.tools:
        is_write = one.permission.endswith(":write")
        assert one.effect is (Effect.WRITE if is_write else Effect.READ)
        assert one.resource is not None
        told = (one.look_up, one.sinks, one.version)
        assert [part is not None for part in told] == [is_write] * 3, one.name


async def test_a_model_is_told_briefly(toolset: Toolset) -> None:
    for one in toolset.tools:
        assert len(one.description) < 160, one.name
        assert len(json.dumps(one.parameters)) < 1200, one.name


async def test_an_issue_is_opened_under_the_mark_of_its_effect(
    rig: GitHubRig, toolset: Toolset
) -> None:
    result = await tool(toolset, "create_issue").call({**ISSUE, "labels": ["bug"]}, CONTEXT)

    (issue,) = rig.state.repositories["acme/platform"].issues.values()
    link = "https://github.test/acme/platform/issues/1"
    assert result == ToolResult.done({"number": 1, "link": link}, link=link)
    assert (issue.title, [label.name for label in issue.labels]) == ("Login fails", ["bug"])
    assert issue.body == f"Since noon\n\n<!-- openloop:{CONTEXT.key} -->"


async def test_a_comment_is_made(rig: GitHubRig, toolset: Toolset) -> None:
    await tool(toolset, "create_issue").call(ISSUE, CONTEXT)
    arguments: Arguments = {"repo": "acme/platform", "number": 1, "body": "Fixed"}

    result = await tool(toolset, "create_comment").call(arguments, CONTEXT)

    (comment,) = rig.state.repositories["acme/platform"].issues[1].comments
    assert result.link.endswith(f"#issuecomment-{comment.id}")
    assert comment.body.startswith("Fixed\n")


@pytest.mark.parametrize(("fault", "found"), [(DropAnswer(), "done"), (DropRequest(), None)])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("create_issue", ISSUE),
        ("create_comment", {"repo": "acme/platform", "number": 1, "body": "Fixed"}),
    ],
)
async def test_a_write_whose_answer_was_lost_is_looked_up(
    rig: GitHubRig,
    toolset: Toolset,
    name: str,
    arguments: Arguments,
    fault: GitHubFault,
    found: str | None,
) -> None:
    repository = rig.state.repositories["acme/platform"]
    rig.state.add_issue(repository, "First", by=rig.state.add_user("anna"))
    wanted = tool(toolset, name)
    rig.faults.fail(with_=fault)

    with pytest.raises(AmbiguousEffect):
        await wanted.call(arguments, CONTEXT)

    assert wanted.look_up is not None
    result = await wanted.look_up(arguments, CONTEXT)
    assert (result.outcome if result is not None else None) == found
    assert sum(call.method == "POST" for call in rig.calls) == 1


async def test_a_look_up_that_settles_nothing_says_so(rig: GitHubRig, toolset: Toolset) -> None:
    look_up = tool(toolset, "create_issue").look_up
    assert look_up is not None
    assert await look_up({**ISSUE, "repo": "acme/none"}, CONTEXT) is None

    rig.faults.fail(LIST_ISSUES, with_=SecondaryLimit())
    with pytest.raises(TryLater):
        await look_up(ISSUE, CONTEXT)


async def test_a_limit_is_for_later_and_a_refusal_is_for_the_model(
    rig: GitHubRig, toolset: Toolset
) -> None:
    create = tool(toolset, "create_issue")
    refused = await create.call({**ISSUE, "repo": "acme/none"}, CONTEXT)
    assert refused == ToolResult.failed("GitHub shows our token no such thing (404): Not Found")

    rig.faults.fail(CREATE_ISSUE, with_=TooMany())
    with pytest.raises(TryLater):
        await create.call(ISSUE, CONTEXT)


@pytest.mark.parametrize(
    "repo", ["acme/../../user", "acme/..", "../user", "acme/platform/issues", "acme%2Fplatform"]
)
async def test_a_repository_that_is_none_never_leaves_us(
    rig: GitHubRig, toolset: Toolset, repo: str
) -> None:
    registry = Registry([toolset])
    for one in toolset.tools:
        registered = registry.find(f"github__{one.name}")
        assert registered is not None
        arguments: Arguments = {**ISSUE, **ANYTHING, "repo": repo}
        fitting = {name: arguments[name] for name in cast("list[str]", one.parameters["required"])}
        assert one.resource is not None
        if repo != "acme/..":  # a schema cannot say it
            assert registered.problem_with(fitting) is not None
        with pytest.raises(Invalid):
            one.resource(fitting)
        assert (await one.call(fitting, CONTEXT)).outcome == "failed"
    assert rig.calls == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {**ISSUE, "assignee": "anna"},
        {**ISSUE, "title": ""},
        {**ISSUE, "title": "A" * 257},
        {**ISSUE, "body": "B" * 60_001},
        {**ISSUE, "labels": ["bug,ui"]},
        {**ISSUE, "labels": "bug"},
        {"repo": "acme/platform", "title": "A"},
    ],
)
async def test_arguments_that_do_not_fit_are_refused(toolset: Toolset, spoiled: Arguments) -> None:
    create = Registry([toolset]).find("github__create_issue")
    assert create is not None
    assert create.problem_with(ISSUE) is None
    assert create.problem_with(spoiled) is not None


async def test_a_card_shows_every_argument(toolset: Toolset) -> None:
    arguments: Arguments = {**ISSUE, "labels": ["bug", "ui"]}
    card = tool(toolset, "create_issue").render(arguments)

    assert card.title == "Open an issue in acme/platform"
    assert card.fields == (
        Field(label="Repository", value="acme/platform"),
        Field(label="Title", value="Login fails"),
        Field(label="Labels", value="bug, ui"),
    )
    assert card.body == "Since noon"

    comment = tool(toolset, "create_comment").render(
        {"repo": "acme/platform", "number": 7, "body": "{repo} *x*"}
    )
    assert comment.title == "Comment on #7 of acme/platform"
    assert comment.body == "{repo} *x*"


async def test_a_model_reads_issues_and_their_conversation(
    rig: GitHubRig, toolset: Toolset
) -> None:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    rig.state.add_pull(repository, "Fix", by=anna, head="fix")
    issue = rig.state.add_issue(repository, "Login fails", by=anna, body="Since noon")
    rig.state.add_comment(issue, "Me too", by=rig.state.add_user("ben"))
    where: Arguments = {"repo": "acme/platform"}

    listed = content(await tool(toolset, "list_issues").call(where, CONTEXT))
    assert [one["number"] for one in listed["issues"]] == [2]
    assert "next_page" not in listed
    read = await tool(toolset, "get_issue").call({**where, "number": 2}, CONTEXT)
    assert (content(read)["author"], content(read)["body"]) == ("anna", "Since noon")
    assert read.link == "https://github.test/acme/platform/issues/2"
    said = content(await tool(toolset, "list_comments").call({**where, "number": 2}, CONTEXT))
    assert [(one["author"], one["body"]) for one in said["comments"]] == [("ben", "Me too")]
    pull = await tool(toolset, "get_issue").call({**where, "number": 1}, CONTEXT)
    assert pull == ToolResult.failed("#1 is a pull request, not an issue")


async def test_a_model_reads_pull_requests(rig: GitHubRig, toolset: Toolset) -> None:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    files = [ChangedFile(filename="app.py", patch="@@ -1 +1 @@"), ChangedFile(filename="a.png")]
    rig.state.add_pull(repository, "Fix", by=anna, head="fix-login", files=files)
    where: Arguments = {"repo": "acme/platform"}

    pull = content(await tool(toolset, "get_pull").call({**where, "number": 1}, CONTEXT))
    assert (pull["from_branch"], pull["into_branch"]) == ("fix-login", "main")
    listed = content(await tool(toolset, "list_pulls").call({**where, "state": "all"}, CONTEXT))
    assert [one["title"] for one in listed["pulls"]] == ["Fix"]
    changed = content(await tool(toolset, "list_pull_files").call({**where, "number": 1}, CONTEXT))
    assert [one.get("patch") for one in changed["files"]] == ["@@ -1 +1 @@", None]


async def test_what_is_read_is_bounded_and_holds_no_control_characters(
    rig: GitHubRig, toolset: Toolset
) -> None:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    rig.state.add_issue(repository, "\x1b[2JA", by=anna, body="\x1b]0;x\x07" + "B" * 30_000)
    await tool(toolset, "create_issue").call(ISSUE, CONTEXT)
    for _ in range(30):
        rig.state.add_issue(repository, "C", by=anna, body="D" * 3000)

    read = await tool(toolset, "get_issue").call({"repo": "acme/platform", "number": 1}, CONTEXT)
    issue = content(read)
    assert issue["title"] == "[2JA"
    assert len(issue["body"]) == 20_000
    assert issue["body"].startswith("]0;xBBB")
    assert issue["body_is_cut_from_characters"] == 30_004
    ours = await tool(toolset, "get_issue").call({"repo": "acme/platform", "number": 2}, CONTEXT)
    assert content(ours)["body"] == "Since noon"
    listed = content(await tool(toolset, "list_issues").call({"repo": "acme/platform"}, CONTEXT))
    assert listed["next_page"] == 2
    assert {len(one["body"]) for one in listed["issues"]} == {2000}


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"GITHUB_TOKEN": "ghp a"}, "GITHUB_TOKEN must be"),
        ({"GITHUB_API_URL": "ftp://github.test"}, "http"),
        ({"GITHUB_API_URL": "http://github.test"}, "https"),
        ({"GITHUB_API_URL": "https://anna:x@github.test"}, "user"),
        ({"GITHUB_API_URL": "https://github.test?a=b"}, "query"),
        ({"GITHUB_API_URL": "https://github.test:port"}, "not a URL"),
        ({"GITHUB_LOG_HOSTS": "https://logs.test"}, "GITHUB_LOG_HOSTS"),
        ({"GITHUB_LOG_HOSTS": "logs.test, *.com"}, "GITHUB_LOG_HOSTS"),
        ({"GITHUB_LOG_HOSTS": "*"}, "GITHUB_LOG_HOSTS"),
    ],
)
def test_a_wrong_setting_is_a_problem_at_the_start(
    environment: dict[str, str], problem: str
) -> None:
    whole = {"GITHUB_TOKEN": TOKEN, **environment}
    with pytest.raises(Misconfigured) as caught:
        GitHubSettings.read(whole)
    assert [problem in one for one in caught.value.problems] == [True]
    assert TOKEN not in str(caught.value)


def test_without_a_token_there_is_no_toolset() -> None:
    assert integration.toolset is not None
    assert integration.toolset({}) is None
    assert integration.toolset({"GITHUB_TOKEN": " "}) is None
    assert GitHubSettings.read({"GITHUB_TOKEN": TOKEN}) == GitHubSettings(token=TOKEN)
    assert TOKEN not in repr(GitHubSettings(token=TOKEN))


def test_naming_the_integration_imports_no_http_client() -> None:
    code = "import sys, openloop.integrations.github; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
