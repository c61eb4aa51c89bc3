"""What the tools change on GitHub, and how a change whose answer was lost is found again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.domain.errors import AmbiguousEffect
from openloop.domain.surface import Field
from openloop.domain.tool import CallContext, ToolResult
from openloop.integrations.github import integration
from openloop.testing.rigs.faults import DropAnswer, DropRequest
from openloop.testing.rigs.github import GitHubRig, GitHubState
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openloop.domain.tool import Arguments
    from openloop.plugin import Tool
    from openloop.testing.rigs.github.rows import Issue, Repository, ReviewComment

TOKEN = "ghp_writing_0123456789"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONTEXT = CallContext(key="0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7", intended_at=NOON)
MARK = f"\n\n<!-- openloop:{CONTEXT.key} -->"
REPO: Arguments = {"repo": "acme/platform"}
DRAFT: Arguments = {
    **REPO,
    "title": "Fix login",
    "body": "Why",
    "from_branch": "fix",
    "into_branch": "main",
}


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    """With an issue (1) and a pull request (2) that has one comment on a line."""
    async with GitHubRig(token=TOKEN, state=GitHubState(lambda: NOON)) as rig:
        repository = rig.state.add_repository("acme/platform")
        anna = rig.state.add_user("anna")
        rig.state.commits.add(repository, "First", by=anna, files={"a.py": "a\n"})
        for branch in ("fix", "other"):
            files = {"a.py": f"{branch}\n"}
            rig.state.commits.add(repository, "Change", by=anna, files=files, branch=branch)
        rig.state.add_issue(repository, "Login fails", by=anna, body="Since noon", labels=["bug"])
        pull = rig.state.add_pull(repository, "Other", by=anna, head="other")
        rig.state.add_review_comment(pull, "Why?", by=anna, path="a.py")
        yield rig


@pytest.fixture
def repository(rig: GitHubRig) -> Repository:
    return rig.state.repositories["acme/platform"]


@pytest.fixture
def issue(repository: Repository) -> Issue:
    return repository.issues[1]


@pytest.fixture
def asked(repository: Repository) -> ReviewComment:
    part = repository.issues[2].pull
    assert part is not None
    return part.review_comments[0]


@pytest.fixture
async def tools(rig: GitHubRig) -> AsyncIterator[dict[str, Tool]]:
    assert integration.toolset is not None
    toolset = integration.toolset({"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": rig.api_url})
    assert toolset is not None
    yield {tool.name: tool for tool in toolset.tools}
    await toolset.aclose()


def content(result: ToolResult) -> dict[str, Any]:
    assert result.outcome == "done", result
    return cast("dict[str, Any]", result.content)


async def test_an_issue_is_changed_where_something_is_given(
    rig: GitHubRig, issue: Issue, tools: dict[str, Tool]
) -> None:
    update = tools["update_issue"].call
    changed = {"title": "Login fails at noon", "state": "closed", "assignees": ["anna"]}
    told = content(await update({**REPO, "number": 1, **changed}, CONTEXT))

    assert {name: told[name] for name in changed} == changed
    assert (issue.title, issue.state, issue.body) == ("Login fails at noon", "closed", "Since noon")
    assert [person.login for person in issue.assignees] == ["anna"]
    await update({**REPO, "number": 1, "state": "open", "assignees": []}, CONTEXT)
    assert (issue.state, issue.assignees, issue.title) == ("open", [], "Login fails at noon")

    before = len(rig.calls)
    assert (await update({**REPO, "number": 1}, CONTEXT)).outcome == "failed"
    assert len(rig.calls) == before


async def test_what_our_account_may_not_change_is_seen_in_the_result(
    rig: GitHubRig, repository: Repository, tools: dict[str, Tool]
) -> None:
    bot = rig.state.add_user("openloop-bot")
    repository.roles[bot.id] = "read"
    rig.state.add_issue(repository, "Ours", by=bot)
    arguments: Arguments = {**REPO, "number": 3, "title": "B", "assignees": ["anna"]}

    told = content(await tools["update_issue"].call(arguments, CONTEXT))

    assert (told["title"], told["assignees"]) == ("B", [])


async def test_labels_are_put_on_and_taken_off(issue: Issue, tools: dict[str, Tool]) -> None:
    added = await tools["add_labels"].call(
        {**REPO, "number": 1, "labels": ["good first issue", "bug"]}, CONTEXT
    )
    assert content(added) == {"labels": ["bug", "good first issue"]}

    arguments: Arguments = {**REPO, "number": 1, "label": "Good First Issue"}
    remove = tools["remove_label"].call
    assert content(await remove(arguments, CONTEXT)) == {"removed": "Good First Issue"}
    assert [label.name for label in issue.labels] == ["bug"]
    again = await remove(arguments, CONTEXT)
    assert (again.outcome, "Label does not exist" in str(again.content)) == ("failed", True)


async def test_a_label_is_one_part_of_the_path(
    rig: GitHubRig, issue: Issue, tools: dict[str, Tool]
) -> None:
    odd = "../../2/labels/a?b#c%2F"
    await tools["add_labels"].call({**REPO, "number": 1, "labels": [odd]}, CONTEXT)
    await tools["remove_label"].call({**REPO, "number": 1, "label": odd}, CONTEXT)
    assert [label.name for label in issue.labels] == ["bug"]
    assert rig.strays == []


@pytest.mark.parametrize("label", [".", ".."])
async def test_a_label_does_not_lead_out_of_the_path(
    rig: GitHubRig, tools: dict[str, Tool], label: str
) -> None:
    result = await tools["remove_label"].call({**REPO, "number": 1, "label": label}, CONTEXT)
    assert result.outcome == "failed"
    assert rig.calls == []


async def test_a_pull_request_is_opened_as_a_draft(
    repository: Repository, tools: dict[str, Tool]
) -> None:
    told = content(await tools["create_draft_pull"].call(DRAFT, CONTEXT))

    made = repository.issues[told["number"]]
    assert made.pull is not None
    assert (made.pull.draft, made.pull.head, made.pull.target) == (True, "fix", "main")
    assert made.body == f"Why{MARK}"
    again = await tools["create_draft_pull"].call(DRAFT, CONTEXT)
    assert (again.outcome, "already exists" in str(again.content)) == ("failed", True)


@pytest.mark.parametrize("branch", ["mallory:fix", "$(id)", "fix`id`", "a..b", "refs/../x", "-f"])
async def test_a_draft_comes_from_a_branch_of_the_repository(
    rig: GitHubRig, tools: dict[str, Tool], branch: str
) -> None:
    result = await tools["create_draft_pull"].call({**DRAFT, "from_branch": branch}, CONTEXT)
    assert result.outcome == "failed"
    assert rig.calls == []


async def test_a_draft_is_another_when_its_branch_has_moved(
    rig: GitHubRig, repository: Repository, tools: dict[str, Tool]
) -> None:
    version = tools["create_draft_pull"].version
    assert version is not None
    approved = await version(DRAFT)
    assert await version(DRAFT) == approved

    mallory = rig.state.add_user("mallory")
    rig.state.commits.add(repository, "More", by=mallory, files={"b.py": "b\n"}, branch="fix")

    assert await version(DRAFT) != approved


async def test_a_reviewer_is_answered_in_the_thread(
    rig: GitHubRig, repository: Repository, asked: ReviewComment, tools: dict[str, Tool]
) -> None:
    reply = tools["reply_to_review"].call
    arguments: Arguments = {**REPO, "number": 2, "comment_id": asked.id, "body": "Because"}
    told = content(await reply(arguments, CONTEXT))

    part = repository.issues[2].pull
    assert part is not None
    answer = part.review_comments[1]
    assert (answer.id, answer.reply_to, answer.body) == (
        told["comment_id"],
        asked.id,
        f"Because{MARK}",
    )
    further = content(await reply({**arguments, "comment_id": answer.id, "body": "And"}, CONTEXT))
    assert [one.reply_to for one in part.review_comments if one.id == further["comment_id"]] == [
        asked.id
    ]
    assert rig.state.repositories["acme/platform"].issues[2].comments == []


async def test_a_comment_of_another_pull_request_is_not_answered(
    rig: GitHubRig, asked: ReviewComment, tools: dict[str, Tool]
) -> None:
    arguments: Arguments = {**REPO, "number": 1, "comment_id": asked.id, "body": "Because"}
    result = await tools["reply_to_review"].call(arguments, CONTEXT)
    assert (result.outcome, "not one of #1" in str(result.content)) == ("failed", True)
    assert [call.method for call in rig.calls] == ["GET"]


WRITES: dict[str, Callable[[ReviewComment], Arguments]] = {
    "update_issue": lambda _: {
        **REPO,
        "number": 1,
        "title": "B",
        "body": "C\r\nD",
        "state": "closed",
        "assignees": ["Anna"],
    },
    "add_labels": lambda _: {**REPO, "number": 1, "labels": ["BUG", "ui"]},
    "remove_label": lambda _: {**REPO, "number": 1, "label": "Bug"},
    "create_draft_pull": lambda _: DRAFT,
    "reply_to_review": lambda asked: {
        **REPO,
        "number": 2,
        "comment_id": asked.id,
        "body": "Because",
    },
}


@pytest.mark.parametrize(("fault", "found"), [(DropAnswer(), "done"), (DropRequest(), None)])
@pytest.mark.parametrize("name", WRITES)
async def test_a_change_whose_answer_was_lost_is_looked_up(
    rig: GitHubRig,
    asked: ReviewComment,
    tools: dict[str, Tool],
    name: str,
    fault: DropAnswer | DropRequest,
    found: str | None,
) -> None:
    tool, arguments = tools[name], WRITES[name](asked)
    rig.faults.fail(with_=fault, skip=1 if name == "reply_to_review" else 0)

    with pytest.raises(AmbiguousEffect):
        await tool.call(arguments, CONTEXT)

    assert tool.look_up is not None
    result = await tool.look_up(arguments, CONTEXT)
    assert (result.outcome if result is not None else None) == found
    assert sum(call.method != "GET" for call in rig.calls) == 1
    if result is not None:
        again = await tool.look_up(arguments, CONTEXT)
        assert again == result


async def test_what_others_have_made_is_not_taken_for_ours(
    rig: GitHubRig, repository: Repository, asked: ReviewComment, tools: dict[str, Tool]
) -> None:
    mallory = rig.state.add_user("mallory")
    rig.state.add_pull(repository, "A", by=mallory, head="fix", body=f"Why{MARK}")
    pull = repository.issues[2]
    rig.state.add_review_comment(pull, f"Because{MARK}", by=mallory, reply_to=asked)
    for name in ("create_draft_pull", "reply_to_review"):
        look_up = tools[name].look_up
        assert look_up is not None
        assert await look_up(WRITES[name](asked), CONTEXT) is None


async def test_whom_a_change_reaches_is_declared(tools: dict[str, Tool]) -> None:
    def reached(name: str, arguments: Arguments) -> dict[str, tuple[str, ...]]:
        sinks = tools[name].sinks
        assert callable(sinks)
        return {value.argument: value.spellings for value in sinks(arguments)}

    update = {**REPO, "number": 1, "assignees": ["anna"]}
    assert reached("update_issue", update)["assignees"] == ("anna", "@anna")
    for name in ("update_issue", "add_labels", "remove_label", "reply_to_review"):
        assert "acme/platform#1" in reached(name, {**REPO, "number": 1})["number"]
    assert tools["create_draft_pull"].sinks == ("from_branch", "into_branch")


async def test_cards_show_what_will_be_done(tools: dict[str, Tool]) -> None:
    card = tools["update_issue"].render({**REPO, "number": 7, "state": "closed", "body": "New"})
    assert (card.title, card.body) == ("Change #7 of acme/platform", "New")
    assert Field(label="State", value="closed") in card.fields
    draft = tools["create_draft_pull"].render(DRAFT)
    assert [field.label for field in draft.fields] == [
        "Repository",
        "Title",
        "From branch",
        "Into branch",
    ]
    removed = tools["remove_label"].render({**REPO, "number": 7, "label": "bug"})
    assert Field(label="Label", value="bug") in removed.fields


@pytest.mark.oracle
async def test_everything_that_is_changed_is_documented_by_github(
    rig: GitHubRig, asked: ReviewComment, tools: dict[str, Tool]
) -> None:
    oracle = Oracle.load_or_skip()
    for name, arguments in WRITES.items():
        tool = tools[name]
        assert tool.look_up is not None
        assert tool.version is not None
        await tool.version(arguments(asked))
        await tool.call(arguments(asked), CONTEXT)
        await tool.look_up(arguments(asked), CONTEXT)

    assert [found for made in rig.calls for found in oracle.deviations(made)] == []
    assert rig.strays == []
