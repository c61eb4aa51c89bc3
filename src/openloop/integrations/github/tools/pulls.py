"""Pull requests and their reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import (
    line_of,
    number_of,
    page_of,
    repo_of,
    state_of,
    text_of,
)
from openloop.integrations.github.render import (
    TEXT_IN_A_LIST,
    shown_file,
    shown_lines,
    shown_page,
    shown_pull,
    shown_review,
    shown_review_comment,
)
from openloop.integrations.github.tools.kit import Group, read, thread, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.resources import Pull, ReviewComment
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool


def pull_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Read pull requests, their changes and reviews; open drafts; answer reviewers."""
    calls, reads, writes = _Pulls(client, versions), "pulls:read", "pulls:write"
    return (
        read(
            "get_pull",
            "a pull request: title, text, branches",
            "repo number",
            calls.get,
            permission=reads,
        ),
        read(
            "list_pulls",
            "the pull requests of a repository, newest first",
            "repo state? page?",
            calls.list,
            permission=reads,
        ),
        read(
            "list_pull_files",
            "the files that a pull request changes",
            "repo number page?",
            calls.list_files,
            permission=reads,
        ),
        read(
            "get_pull_diff",
            "the diff of a pull request",
            "repo number from_line?",
            calls.get_diff,
            permission=reads,
        ),
        read(
            "list_reviews",
            "the reviews of a pull request",
            "repo number page?",
            calls.list_reviews,
            permission=reads,
        ),
        read(
            "list_review_comments",
            "the comments on lines of a pull request",
            "repo number page?",
            calls.list_review_comments,
            permission=reads,
        ),
        write(
            "create_draft_pull",
            "Propose, as a draft, to merge a branch that exists into another.",
            "repo title body from_branch into_branch",
            calls.create_draft,
            permission=writes,
            look_up=calls.find_draft,
            title="Open a draft pull request in {repo}",
            sinks=("from_branch", "into_branch"),
            version=calls.version_of_branches,
            opens=calls.opened,
        ),
        write(
            "reply_to_review",
            "Answer in the thread of a comment on a line of a pull request.",
            "repo number comment_id body",
            calls.reply,
            permission=writes,
            look_up=calls.find_reply,
            title="Answer a review comment on #{number} of {repo}",
            sinks=thread,
            version=versions.of_thread,
        ),
    )


class _Pulls(Group):
    async def get(self, arguments: Arguments, _: CallContext) -> ToolResult:
        pull = await self.client.get_pull(repo_of(arguments), number_of(arguments))
        return ToolResult.done(shown_pull(pull), link=pull.link)

    async def list(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_pulls(
            repo_of(arguments), state=state_of(arguments), page=page_of(arguments)
        )
        shown = [shown_pull(pull, limit=TEXT_IN_A_LIST) for pull in page.items]
        return ToolResult.done(shown_page("pulls", shown, page.next_page))

    async def list_files(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_pull_files(
            repo_of(arguments), number_of(arguments), page=page_of(arguments)
        )
        shown = [shown_file(file) for file in page.items]
        return ToolResult.done(shown_page("files", shown, page.next_page))

    async def get_diff(self, arguments: Arguments, _: CallContext) -> ToolResult:
        diff = await self.client.get_pull_diff(repo_of(arguments), number_of(arguments))
        return ToolResult.done(shown_lines("diff", diff, line_of(arguments)))

    async def list_reviews(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_reviews(
            repo_of(arguments), number_of(arguments), page=page_of(arguments)
        )
        shown = [shown_review(review) for review in page.items]
        return ToolResult.done(shown_page("reviews", shown, page.next_page))

    async def list_review_comments(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_review_comments(
            repo_of(arguments), number_of(arguments), page=page_of(arguments)
        )
        shown = [shown_review_comment(comment) for comment in page.items]
        return ToolResult.done(shown_page("comments", shown, page.next_page))

    async def create_draft(self, arguments: Arguments, context: CallContext) -> ToolResult:
        pull = await self.client.create_draft_pull(
            repo_of(arguments),
            title=text_of(arguments, "title"),
            body=text_of(arguments, "body"),
            head=text_of(arguments, "from_branch"),
            target=text_of(arguments, "into_branch"),
            key=context.key,
        )
        return _made_pull(pull)

    async def find_draft(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        pull = await self.client.find_pull_by_marker(
            repo_of(arguments),
            context.key,
            head=text_of(arguments, "from_branch"),
            since=context.intended_at,
        )
        return None if pull is None else _made_pull(pull)

    async def version_of_branches(self, arguments: Arguments) -> str:
        """Who sees the repository, and what the branch holds: what is approved is what it is now."""
        visible = await self.versions.of_repository(arguments)
        branch = text_of(arguments, "from_branch")
        tip = await self.client.get_commit(repo_of(arguments), branch)
        return f"{visible}, {tip.sha}"

    async def reply(self, arguments: Arguments, context: CallContext) -> ToolResult:
        comment = await self.client.reply_to_review(
            repo_of(arguments),
            number_of(arguments),
            number_of(arguments, "comment_id"),
            body=text_of(arguments, "body"),
            key=context.key,
        )
        return _made_reply(comment)

    async def find_reply(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        comment = await self.client.find_review_reply_by_marker(
            repo_of(arguments), number_of(arguments), context.key, since=context.intended_at
        )
        return None if comment is None else _made_reply(comment)


def _made_pull(pull: Pull) -> ToolResult:
    return ToolResult.done({"number": pull.number, "link": pull.link}, link=pull.link)


def _made_reply(comment: ReviewComment) -> ToolResult:
    return ToolResult.done({"comment_id": comment.id, "link": comment.link}, link=comment.link)
