"""The tool with which an agent looks into a red build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import repo_of, text_or_none
from openloop.integrations.github.investigation import Investigator
from openloop.integrations.github.investigation_render import shown_investigation
from openloop.integrations.github.tools.kit import Group, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool


def investigation_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Why is a build red?"""
    return (
        read(
            "investigate",
            "why a build is red: the failed jobs, the likely cause in each log, what changed since it "
            "was green, and whether it is shown to be flaky",
            "repo ref?",
            _Investigations(client, versions).investigate,
            permission="actions:read",
        ),
    )


class _Investigations(Group):
    async def investigate(self, arguments: Arguments, context: CallContext) -> ToolResult:
        investigator = Investigator(self.client, context.redactor)
        found = await investigator.investigate(repo_of(arguments), text_or_none(arguments, "ref"))
        return ToolResult.done(shown_investigation(found), link=found.commit.link)
