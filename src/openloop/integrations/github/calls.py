"""Carrying out the calls of an agent: arguments in, what GitHub says out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from openloop.domain.tool import ToolResult
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.render import (
    TEXT_IN_A_LIST,
    shown_comment,
    shown_file,
    shown_issue,
    shown_page,
    shown_pull,
)

if TYPE_CHECKING:
    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.resources import Comment, Issue

State = Literal["open", "closed", "all"]


class Calls:
    """One method per tool. The arguments have passed the tool's schema; all errors pass through."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    async def get_issue(self, arguments: Arguments, _: CallContext) -> ToolResult:
        issue = await self._client.get_issue(repo_of(arguments), _number(arguments))
        if issue.is_pull:
            return ToolResult.failed(f"#{issue.number} is a pull request, not an issue")
        return ToolResult.done(shown_issue(issue), link=issue.link)

    async def list_issues(self, arguments: Arguments, _: CallContext) -> ToolResult:
        """A page may hold fewer than usual: pull requests among the issues are left out."""
        page = await self._client.list_issues(
            repo_of(arguments),
            state=_state(arguments),
            labels=_labels(arguments),
            page=_page(arguments),
        )
        issues = [issue for issue in page.items if not issue.is_pull]
        shown = [shown_issue(issue, limit=TEXT_IN_A_LIST) for issue in issues]
        return ToolResult.done(shown_page("issues", shown, page.next_page))

    async def list_comments(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self._client.list_comments(
            repo_of(arguments), _number(arguments), page=_page(arguments)
        )
        shown = [shown_comment(comment) for comment in page.items]
        return ToolResult.done(shown_page("comments", shown, page.next_page))

    async def create_issue(self, arguments: Arguments, context: CallContext) -> ToolResult:
        issue = await self._client.create_issue(
            repo_of(arguments),
            title=_text(arguments, "title"),
            body=_text(arguments, "body"),
            labels=_labels(arguments),
            key=context.key,
        )
        return _made_issue(issue)

    async def find_issue(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        issue = await self._client.find_issue_by_marker(
            repo_of(arguments), context.key, since=context.intended_at
        )
        return None if issue is None else _made_issue(issue)

    async def create_comment(self, arguments: Arguments, context: CallContext) -> ToolResult:
        comment = await self._client.create_comment(
            repo_of(arguments),
            _number(arguments),
            body=_text(arguments, "body"),
            key=context.key,
        )
        return _made_comment(comment)

    async def find_comment(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        comment = await self._client.find_comment_by_marker(
            repo_of(arguments), _number(arguments), context.key, since=context.intended_at
        )
        return None if comment is None else _made_comment(comment)

    async def get_pull(self, arguments: Arguments, _: CallContext) -> ToolResult:
        pull = await self._client.get_pull(repo_of(arguments), _number(arguments))
        return ToolResult.done(shown_pull(pull), link=pull.link)

    async def list_pulls(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self._client.list_pulls(
            repo_of(arguments), state=_state(arguments), page=_page(arguments)
        )
        shown = [shown_pull(pull, limit=TEXT_IN_A_LIST) for pull in page.items]
        return ToolResult.done(shown_page("pulls", shown, page.next_page))

    async def list_pull_files(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self._client.list_pull_files(
            repo_of(arguments), _number(arguments), page=_page(arguments)
        )
        shown = [shown_file(file) for file in page.items]
        return ToolResult.done(shown_page("files", shown, page.next_page))


def repo_of(arguments: Arguments) -> RepoName:
    """The repository that a call is about.

    Raises:
        InvalidName
    """
    return RepoName.parse(_text(arguments, "repo"))


def _made_issue(issue: Issue) -> ToolResult:
    return ToolResult.done({"number": issue.number, "link": issue.link}, link=issue.link)


def _made_comment(comment: Comment) -> ToolResult:
    return ToolResult.done({"link": comment.link}, link=comment.link)


def _text(arguments: Arguments, name: str) -> str:
    return cast("str", arguments[name])


def _number(arguments: Arguments) -> int:
    return cast("int", arguments["number"])


def _page(arguments: Arguments) -> int:
    return int(cast("int", arguments.get("page", 1)))


def _state(arguments: Arguments) -> State:
    return cast("State", arguments.get("state", "open"))


def _labels(arguments: Arguments) -> list[str]:
    return cast("list[str]", arguments.get("labels", []))
