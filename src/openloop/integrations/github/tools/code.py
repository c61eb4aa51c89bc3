"""Commits, files and the search in them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import (
    line_of,
    page_of,
    repo_of,
    text_of,
    text_or_none,
)
from openloop.integrations.github.code_resources import Content
from openloop.integrations.github.render import clean, shown_file, shown_lines, shown_page
from openloop.integrations.github.render_code import (
    shown_commit,
    shown_comparison,
    shown_found_file,
    shown_found_issue,
)
from openloop.integrations.github.tools.kit import Group, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool

PATHS_ON_A_PAGE = 400
INDEX_ONLY = (
    "From GitHub's search index, which lags behind and is not complete: "
    "what is not here may be there all the same."
)


def code_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Read commits and files; search code and issues."""
    calls, reads = _Code(client, versions), "contents:read"
    return (
        read(
            "list_commits",
            "the commits of a branch, newest first; with path, those that touch it",
            "repo ref? path? page?",
            calls.list_commits,
            permission=reads,
        ),
        read(
            "get_commit",
            "a commit and the files that it changes",
            "repo ref=commit page?",
            calls.get_commit,
            permission=reads,
        ),
        read(
            "compare_commits",
            "what newer has that older has not: commits and changed files",
            "repo older newer page?",
            calls.compare,
            permission=reads,
        ),
        read(
            "get_file",
            "a file",
            "repo path ref? from_line?",
            calls.get_file,
            permission=reads,
        ),
        read(
            "list_folder",
            "what is in a folder",
            "repo path=folder? ref?",
            calls.list_folder,
            permission=reads,
        ),
        read(
            "list_tree",
            "the paths of all files below a folder",
            "repo path=folder? ref? page?",
            calls.list_tree,
            permission=reads,
        ),
        read(
            "search_code",
            "where words occur in the files of the default branch (search index)",
            "repo words page?",
            calls.search_code,
            permission=reads,
        ),
        read(
            "search_issues",
            "issues in which words occur (search index)",
            "repo words page?",
            calls.search_issues,
            permission="issues:read",
        ),
    )


class _Code(Group):
    async def list_commits(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_commits(
            repo_of(arguments),
            ref=text_or_none(arguments, "ref"),
            path=text_or_none(arguments, "path"),
            page=page_of(arguments),
        )
        shown = [shown_commit(commit) for commit in page.items]
        return ToolResult.done(shown_page("commits", shown, page.next_page))

    async def get_commit(self, arguments: Arguments, _: CallContext) -> ToolResult:
        commit = await self.client.get_commit(
            repo_of(arguments), text_of(arguments, "ref"), page=page_of(arguments)
        )
        files = [shown_file(file) for file in commit.files]
        return ToolResult.done(shown_commit(commit) | {"files": files}, link=commit.link)

    async def compare(self, arguments: Arguments, _: CallContext) -> ToolResult:
        comparison = await self.client.compare(
            repo_of(arguments),
            text_of(arguments, "older"),
            text_of(arguments, "newer"),
            page=page_of(arguments),
        )
        return ToolResult.done(shown_comparison(comparison), link=comparison.link)

    async def get_file(self, arguments: Arguments, _: CallContext) -> ToolResult:
        """The text of a file; other kinds of content are named, not shown."""
        path = text_of(arguments, "path")
        found = await self.client.get_content(
            repo_of(arguments), path, ref=text_or_none(arguments, "ref")
        )
        if not isinstance(found, Content) or found.type != "file":
            return ToolResult.failed(f"{clean(path)!r} is no file")
        if found.encoding != "base64":
            return ToolResult.failed(
                f"{clean(path)!r} has {found.size} bytes: too large to be read"
            )
        try:
            content = base64.b64decode(found.text)
        except binascii.Error:
            return ToolResult.failed(f"{clean(path)!r} could not be read")
        if b"\0" in content:
            return ToolResult.failed(f"{clean(path)!r} has {found.size} bytes and is no text")
        shown = shown_lines("text", content.decode(errors="replace"), line_of(arguments))
        return ToolResult.done({"path": clean(found.path)} | shown, link=found.link or "")

    async def list_folder(self, arguments: Arguments, _: CallContext) -> ToolResult:
        path = text_or_none(arguments, "path") or ""
        found = await self.client.get_content(
            repo_of(arguments), path, ref=text_or_none(arguments, "ref")
        )
        if isinstance(found, Content):
            return ToolResult.failed(f"{clean(path)!r} is no folder")
        entries = [clean(one.path) + ("/" if one.type == "dir" else "") for one in found]
        return ToolResult.done({"entries": entries})

    async def list_tree(self, arguments: Arguments, _: CallContext) -> ToolResult:
        repo = repo_of(arguments)
        ref = text_or_none(arguments, "ref")
        if ref is None:
            ref = (await self.client.repository(repo)).default_branch
        tree = await self.client.get_tree(repo, ref)
        folder = (text_or_none(arguments, "path") or "").strip("/")
        below = f"{folder}/" if folder else ""
        paths = [
            clean(one.path)
            for one in tree.entries
            if one.type == "blob" and one.path.startswith(below)
        ]
        page = page_of(arguments)
        end = page * PATHS_ON_A_PAGE
        shown: dict[str, object] = {"files": paths[end - PATHS_ON_A_PAGE : end]}
        if len(paths) > end:
            shown["next_page"] = page + 1
        if tree.is_cut:
            shown["is_incomplete"] = "GitHub left files out: list folders instead"
        return ToolResult.done(shown)

    async def search_code(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.search_code(
            repo_of(arguments), text_of(arguments, "words"), page=page_of(arguments)
        )
        shown = [shown_found_file(file) for file in page.items]
        return ToolResult.done({"note": INDEX_ONLY} | shown_page("files", shown, page.next_page))

    async def search_issues(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.search_issues(
            repo_of(arguments), text_of(arguments, "words"), page=page_of(arguments)
        )
        shown = [shown_found_issue(issue) for issue in page.items]
        return ToolResult.done({"note": INDEX_ONLY} | shown_page("issues", shown, page.next_page))
