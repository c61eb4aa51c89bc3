"""Checks of commits and runs of GitHub Actions. Logs are not among them: an analyser reads those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.tool import ToolResult
from openloop.integrations.github.arguments import (
    number_of,
    page_of,
    repo_of,
    text_of,
    text_or_none,
)
from openloop.integrations.github.render import shown_page
from openloop.integrations.github.render_code import (
    shown_action_run,
    shown_check,
    shown_job,
    shown_suite,
)
from openloop.integrations.github.tools.kit import Group, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.tool import Arguments, CallContext
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.versions import Versions
    from openloop.plugin import Tool


def build_tools(client: GitHubClient, versions: Versions) -> Sequence[Tool]:
    """Read checks, runs and jobs."""
    calls = _Builds(client, versions)
    return (
        read(
            "list_check_runs",
            "the checks of a commit, the newest of each name",
            "repo ref=commit page?",
            calls.list_checks,
            permission="checks:read",
        ),
        read(
            "list_check_suites",
            "the checks of a commit by app",
            "repo ref=commit page?",
            calls.list_suites,
            permission="checks:read",
        ),
        read(
            "list_action_runs",
            "the runs of GitHub Actions, newest first",
            "repo branch=commit? status? page?",
            calls.list_runs,
            permission="actions:read",
        ),
        read(
            "get_action_run",
            "a run of GitHub Actions",
            "repo run_id",
            calls.get_run,
            permission="actions:read",
        ),
        read(
            "list_action_jobs",
            "the jobs of a run of GitHub Actions with the steps that failed",
            "repo run_id page?",
            calls.list_jobs,
            permission="actions:read",
        ),
    )


class _Builds(Group):
    async def list_checks(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_check_runs(
            repo_of(arguments), text_of(arguments, "ref"), page=page_of(arguments)
        )
        shown = [shown_check(check) for check in page.items]
        return ToolResult.done(shown_page("check_runs", shown, page.next_page))

    async def list_suites(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_check_suites(
            repo_of(arguments), text_of(arguments, "ref"), page=page_of(arguments)
        )
        shown = [shown_suite(suite) for suite in page.items]
        return ToolResult.done(shown_page("check_suites", shown, page.next_page))

    async def list_runs(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_action_runs(
            repo_of(arguments),
            branch=text_or_none(arguments, "branch"),
            status=text_or_none(arguments, "status"),
            page=page_of(arguments),
        )
        shown = [shown_action_run(run) for run in page.items]
        return ToolResult.done(shown_page("runs", shown, page.next_page))

    async def get_run(self, arguments: Arguments, _: CallContext) -> ToolResult:
        run = await self.client.get_action_run(repo_of(arguments), number_of(arguments, "run_id"))
        return ToolResult.done(shown_action_run(run), link=run.link)

    async def list_jobs(self, arguments: Arguments, _: CallContext) -> ToolResult:
        page = await self.client.list_jobs(
            repo_of(arguments), number_of(arguments, "run_id"), page=page_of(arguments)
        )
        shown = [shown_job(job) for job in page.items]
        return ToolResult.done(shown_page("jobs", shown, page.next_page))
