"""GitHub Actions: runs, their jobs, and the logs of jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from openloop.integrations.github.archives import ARCHIVE_BYTES, ArchivedLog, unpack
from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
from openloop.integrations.github.exchange import (
    LARGEST_PAGE,
    PAGE_SIZE,
    Exchange,
    Query,
    gathered,
    in_repo,
    turn,
)
from openloop.integrations.github.logs import BytesKeeper, Log, LogKeeper, fetch
from openloop.integrations.github.names import checked_id, checked_ref, checked_sha

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.resources import Page


class Actions(Exchange):
    """What GitHub Actions did. Logs are for the analyser: no model is given one as it is."""

    async def list_action_runs(
        self,
        repo: RepoName,
        *,
        head_sha: str | None = None,
        branch: str | None = None,
        status: str | None = None,
        workflow_id: int | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[ActionsRun]:
        """Newest first; `status` is a status or a conclusion (`failure`, `success`)."""
        query: Query = {} if status is None else {"status": status}
        if head_sha is not None:
            query["head_sha"] = checked_sha(head_sha)
        if branch is not None:
            query["branch"] = checked_ref(branch)
        where = () if workflow_id is None else ("workflows", checked_id(workflow_id))
        return await self.read_page(
            ActionsRun,
            in_repo(repo, "actions", *where, "runs"),
            query | turn(page, page_size),
            below="workflow_runs",
        )

    async def get_action_run(self, repo: RepoName, run_id: int) -> ActionsRun:
        """A run as it is after its last attempt."""
        return await self.read(ActionsRun, in_repo(repo, "actions", "runs", checked_id(run_id)))

    async def list_jobs(
        self,
        repo: RepoName,
        run_id: int,
        *,
        only: Literal["latest", "all"] = "latest",
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[ActionsJob]:
        """The jobs of a run: of its last attempt, or of all."""
        query: Query = {"filter": only}
        return await self.read_page(
            ActionsJob,
            in_repo(repo, "actions", "runs", checked_id(run_id), "jobs"),
            query | turn(page, page_size),
            below="jobs",
        )

    async def get_job(self, repo: RepoName, job_id: int) -> ActionsJob:
        return await self.read(ActionsJob, in_repo(repo, "actions", "jobs", checked_id(job_id)))

    async def failed_jobs(
        self, repo: RepoName, run_id: int, *, only: Literal["latest", "all"] = "latest"
    ) -> tuple[ActionsJob, ...]:
        """The jobs of a run that ended broken."""

        async def turn_to(page: int) -> Page[ActionsJob]:
            return await self.list_jobs(repo, run_id, only=only, page=page, page_size=LARGEST_PAGE)

        return tuple([job async for job in gathered(turn_to) if job.has_failed])

    async def job_log(self, repo: RepoName, job_id: int) -> Log:
        """The log of a finished job; of a very long one, its beginning and its end.

        Raises:
            NotFound: GitHub has it no more (it keeps logs for 90 days unless told otherwise)
            Refused: it is where we do not ask, or larger than `logs.MOST_BYTES`
        """
        address = await self.located(in_repo(repo, "actions", "jobs", checked_id(job_id), "logs"))
        keeper = LogKeeper()
        await fetch(self.wire, address, keeper, hosts=self.log_hosts)
        return keeper.log()

    async def run_logs(
        self, repo: RepoName, run_id: int, *, is_wanted: Callable[[str], bool]
    ) -> tuple[ArchivedLog, ...]:
        """The logs of a run's last attempt whose labels are wanted, out of one archive.

        Raises:
            NotFound: GitHub has it no more
            Refused: it is where we do not ask, or an archive that we do not open
        """
        address = await self.located(in_repo(repo, "actions", "runs", checked_id(run_id), "logs"))
        keeper = BytesKeeper(ARCHIVE_BYTES)
        await fetch(self.wire, address, keeper, hosts=self.log_hosts)
        return await asyncio.to_thread(unpack, bytes(keeper.kept), is_wanted)
