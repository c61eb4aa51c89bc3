"""Labels of a repository and of its issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import (
    number_of,
    page_of,
    repo_of,
    text_of,
    texts_of,
)
from openloop.integrations.github.errors import NotFound
from openloop.integrations.github.render import clean, cut, shown_page
from openloop.integrations.github.tools.kit import Group, read, thread, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool

DESCRIPTION_LIMIT = 100


def label_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Read labels; put them on issues and pull requests, and take them off."""
    calls = _Labels(client, versions)
    return (
        read(
            "list_labels",
            "the labels that a repository has",
            "repo page?",
            calls.list,
            permission="issues:read",
        ),
        write(
            "add_labels",
            "Put labels on an issue or pull request, beside those on it.",
            "repo number labels=new_labels",
            calls.add,
            permission="issues:write",
            look_up=calls.find_added,
            title="Label #{number} of {repo}",
            sinks=thread,
            version=versions.of_thread,
        ),
        write(
            "remove_label",
            "Take a label off an issue or pull request.",
            "repo number label",
            calls.remove,
            permission="issues:write",
            look_up=calls.find_removed,
            title="Take a label off #{number} of {repo}",
            sinks=thread,
            version=versions.of_thread,
        ),
    )


class _Labels(Group):
    async def list(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_labels(repo_of(arguments), page=page_of(arguments))
        shown = [
            {"name": clean(one.name)} | cut("description", one.description or "", DESCRIPTION_LIMIT)
            for one in page.items
        ]
        return ToolResult.done(shown_page("labels", shown, page.next_page))

    async def add(self, arguments: Arguments, _: CallContext) -> ToolResult:
        labels = await self.client.add_labels(
            repo_of(arguments), number_of(arguments), texts_of(arguments, "labels")
        )
        return _labelled(label.name for label in labels)

    async def find_added(self, arguments: Arguments, _: CallContext) -> ToolResult | None:
        """Done where all of them are on it, whoever put them there."""
        issue = await self.client.get_issue(repo_of(arguments), number_of(arguments))
        wanted = {name.lower() for name in texts_of(arguments, "labels")}
        is_done = wanted <= {name.lower() for name in issue.labels}
        return _labelled(issue.labels) if is_done else None

    async def remove(self, arguments: Arguments, _: CallContext) -> ToolResult:
        label = text_of(arguments, "label")
        try:
            await self.client.remove_label(repo_of(arguments), number_of(arguments), label)
        except NotFound as error:
            return ToolResult.failed(f"{clean(label)!r} could not be taken off: {error}")
        return ToolResult.done({"removed": clean(label)})

    async def find_removed(self, arguments: Arguments, _: CallContext) -> ToolResult | None:
        """Done where it is not on it, whoever took it off."""
        issue = await self.client.get_issue(repo_of(arguments), number_of(arguments))
        label = text_of(arguments, "label")
        is_there = label.lower() in {name.lower() for name in issue.labels}
        return None if is_there else ToolResult.done({"removed": clean(label)})


def _labelled(names: Iterable[str]) -> ToolResult:
    return ToolResult.done({"labels": [clean(name) for name in names]})
