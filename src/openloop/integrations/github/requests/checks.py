"""Checks of a commit: what was reported about it, and reports of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from openloop.integrations.github.ci_resources import CheckRun, CheckSuite
from openloop.integrations.github.exchange import PAGE_SIZE, Exchange, Query, in_repo, turn
from openloop.integrations.github.names import checked_ref

if TYPE_CHECKING:
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.resources import Page


class Checks(Exchange):
    """Check runs and the suites they stand in."""

    async def list_check_runs(
        self,
        repo: RepoName,
        ref: str,
        *,
        only: Literal["latest", "all"] = "latest",
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[CheckRun]:
        """The checks of a commit, or of the tip of a branch; `latest` is one for each name."""
        query: Query = {"filter": only}
        return await self.read_page(
            CheckRun,
            in_repo(repo, "commits", checked_ref(ref), "check-runs"),
            query | turn(page, page_size),
            below="check_runs",
        )

    async def list_check_suites(
        self, repo: RepoName, ref: str, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[CheckSuite]:
        return await self.read_page(
            CheckSuite,
            in_repo(repo, "commits", checked_ref(ref), "check-suites"),
            turn(page, page_size),
            below="check_suites",
        )
