"""Issues and their conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from openloop.domain.sinks import SinkValue
from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import (
    number_of,
    page_of,
    repo_of,
    state_of,
    text_of,
    text_or_none,
    texts_of,
)
from openloop.integrations.github.marker import unmarked
from openloop.integrations.github.render import (
    TEXT_IN_A_LIST,
    clean,
    shown_comment,
    shown_issue,
    shown_page,
)
from openloop.integrations.github.tools.kit import Group, read, thread, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.resources import Comment, Issue
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool


def issue_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Read, open and change issues; read and write comments."""
    calls, reads, writes = _Issues(client, versions), "issues:read", "issues:write"
    return (
        read(
            "get_issue",
            "an issue: title, text, labels",
            "repo number",
            calls.get,
            permission=reads,
        ),
        read(
            "list_issues",
            "the issues of a repository, newest first",
            "repo state? labels? page?",
            calls.list,
            permission=reads,
        ),
        read(
            "list_comments",
            "the conversation below an issue, oldest first",
            "repo number page?",
            calls.list_comments,
            permission=reads,
        ),
        write(
            "create_issue",
            "Open an issue.",
            "repo title body labels?",
            calls.create,
            permission=writes,
            look_up=calls.find,
            title="Open an issue in {repo}",
            sinks=(),  # the repository is what a rule names
            version=versions.of_repository,
            opens=calls.opened,
        ),
        write(
            "update_issue",
            "Change the title, text, state or assignees of an issue.",
            "repo number title? body? state=new_state? assignees?",
            calls.update,
            permission=writes,
            look_up=calls.find_updated,
            title="Change #{number} of {repo}",
            sinks=_thread_and_assignees,
            version=versions.of_thread,
        ),
        write(
            "create_comment",
            "Comment on an issue or pull request.",
            "repo number body",
            calls.create_comment,
            permission=writes,
            look_up=calls.find_comment,
            title="Comment on #{number} of {repo}",
            sinks=thread,
            version=versions.of_thread,
        ),
    )


class _Issues(Group):
    async def get(self, arguments: Arguments, _: CallContext) -> ToolResult:
        issue = await self.client.get_issue(repo_of(arguments), number_of(arguments))
        if issue.is_pull:
            return ToolResult.failed(f"#{issue.number} is a pull request, not an issue")
        return ToolResult.done(shown_issue(issue), link=issue.link)

    async def list(self, arguments: Arguments, _: CallContext) -> ToolResult:
        """A page may hold fewer than usual: pull requests among the issues are left out."""
        page = await self.client.list_issues(
            repo_of(arguments),
            state=state_of(arguments),
            labels=texts_of(arguments, "labels"),
            page=page_of(arguments),
        )
        issues = [issue for issue in page.items if not issue.is_pull]
        shown = [shown_issue(issue, limit=TEXT_IN_A_LIST) for issue in issues]
        return ToolResult.done(shown_page("issues", shown, page.next_page))

    async def list_comments(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_comments(
            repo_of(arguments), number_of(arguments), page=page_of(arguments)
        )
        shown = [shown_comment(comment) for comment in page.items]
        return ToolResult.done(shown_page("comments", shown, page.next_page))

    async def create(self, arguments: Arguments, context: CallContext) -> ToolResult:
        issue = await self.client.create_issue(
            repo_of(arguments),
            title=text_of(arguments, "title"),
            body=text_of(arguments, "body"),
            labels=texts_of(arguments, "labels"),
            key=context.key,
        )
        return _made_issue(issue)

    async def find(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        issue = await self.client.find_issue_by_marker(
            repo_of(arguments), context.key, since=context.intended_at
        )
        return None if issue is None else _made_issue(issue)

    async def update(self, arguments: Arguments, _: CallContext) -> ToolResult:
        if not _wanted(arguments):
            return ToolResult.failed("Nothing to change was given")
        issue = await self.client.update_issue(
            repo_of(arguments),
            number_of(arguments),
            title=text_or_none(arguments, "title"),
            body=text_or_none(arguments, "body"),
            state=cast("Literal['open', 'closed'] | None", arguments.get("state")),
            assignees=texts_of(arguments, "assignees") if "assignees" in arguments else None,
        )
        return _updated_issue(issue)

    async def find_updated(self, arguments: Arguments, _: CallContext) -> ToolResult | None:
        """Done where everything is as it was to become, whoever made it so."""
        issue = await self.client.get_issue(repo_of(arguments), number_of(arguments))
        return _updated_issue(issue) if _is_as_wanted(issue, arguments) else None

    async def create_comment(self, arguments: Arguments, context: CallContext) -> ToolResult:
        comment = await self.client.create_comment(
            repo_of(arguments),
            number_of(arguments),
            body=text_of(arguments, "body"),
            key=context.key,
        )
        return _made_comment(comment)

    async def find_comment(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        comment = await self.client.find_comment_by_marker(
            repo_of(arguments), number_of(arguments), context.key, since=context.intended_at
        )
        return None if comment is None else _made_comment(comment)


def _wanted(arguments: Arguments) -> set[str]:
    return {"title", "body", "state", "assignees"} & set(arguments)


def _is_as_wanted(issue: Issue, arguments: Arguments) -> bool:
    is_now: dict[str, object] = {
        "title": issue.title,
        "body": unmarked(issue.body),
        "state": issue.state,
        "assignees": sorted(person.login.lower() for person in issue.assignees),
    }
    to_be = dict(arguments)
    if "body" in to_be:
        to_be["body"] = unmarked(text_of(arguments, "body"))
    if "assignees" in to_be:
        to_be["assignees"] = sorted(login.lower() for login in texts_of(arguments, "assignees"))
    return all(is_now[name] == to_be[name] for name in _wanted(arguments))


def _thread_and_assignees(arguments: Arguments) -> Sequence[SinkValue]:
    """Where it is written, and whom GitHub tells of it."""
    people = (
        SinkValue(argument="assignees", spellings=(login, f"@{login}"))
        for login in texts_of(arguments, "assignees")
    )
    return (*thread(arguments), *people)


def _made_issue(issue: Issue) -> ToolResult:
    return ToolResult.done({"number": issue.number, "link": issue.link}, link=issue.link)


def _updated_issue(issue: Issue) -> ToolResult:
    """As GitHub has it now: it leaves out what our account may not change."""
    shown = {
        "number": issue.number,
        "title": clean(issue.title),
        "state": issue.state,
        "assignees": [person.login for person in issue.assignees],
        "link": issue.link,
    }
    return ToolResult.done(shown, link=issue.link)


def _made_comment(comment: Comment) -> ToolResult:
    return ToolResult.done({"link": comment.link}, link=comment.link)
