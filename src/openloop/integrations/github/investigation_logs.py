"""The logs that an investigation reads: each goes through the analyser, and nothing else of it is kept."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analyser import analyse
from openloop.integrations.github.errors import NotFound
from openloop.integrations.github.exchange import LARGEST_PAGE, gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openloop.domain.build_logs.analysis import Analysis
    from openloop.domain.redaction import Redactor
    from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.logs import Log
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.resources import Page

_NOT_COMPARED: Final = re.compile(r"[^a-z0-9]+")
_LABEL: Final = re.compile(r"-?[0-9]{1,6}_(?P<name>.+)\.txt")


class Logs:
    """Reads the logs of one repository; what `redactor` knows is in nothing that comes out."""

    def __init__(self, client: GitHubClient, repo: RepoName, redactor: Redactor) -> None:
        self._client = client
        self._repo = repo
        self._redactor = redactor

    async def analysis(self, job: ActionsJob) -> Analysis:
        """What the log of a job says.

        Raises:
            GitHubError
        """
        return await self._analysed(await self._client.job_log(self._repo, job.id))

    async def analysis_wherever(self, run: ActionsRun, job: ActionsJob) -> Analysis:
        """The same; where GitHub has no log under the job any more, out of the archive of its run.

        An archive holds the logs of the last attempt only.

        Raises:
            GitHubError
        """
        try:
            return await self.analysis(job)
        except NotFound:
            if job.attempt != run.attempt:
                raise
        return await self._analysed(await self._archived(run, job))

    async def _archived(self, run: ActionsRun, job: ActionsJob) -> Log:
        """The log that nothing but the name tells to be the job's, so no other may have that name."""
        name = _plain(job.name)

        async def turn_to(page: int) -> Page[ActionsJob]:
            return await self._client.list_jobs(
                self._repo, run.id, page=page, page_size=LARGEST_PAGE
            )

        if [_plain(each.name) async for each in gathered(turn_to)].count(name) != 1:
            raise NotFound("The log is gone, and in the archive its job cannot be told from others")
        found = await self._client.run_logs(self._repo, run.id, is_wanted=_is_of(name))
        if len(found) != 1:
            raise NotFound(f"The log is gone, and {len(found)} of the archive may be the one")
        return found[0].log

    async def _analysed(self, log: Log) -> Analysis:
        return await asyncio.to_thread(analyse, pieces(log), self._redactor)


def pieces(log: Log) -> Sequence[bytes]:
    """A log for the analyser; what was not kept of it stands as empty lines, so that numbers fit.

    Of the line that a gap begins or ends in, nothing is left: half of a secret is not recognised.
    """
    if log.is_whole:
        return (log.beginning,)
    _, newline, rest = log.ending.partition(b"\n")
    whole = log.beginning[: log.beginning.rfind(b"\n") + 1]
    return (whole, b"\n" * log.skipped_lines, newline + rest)


def _is_of(name: str) -> Callable[[str], bool]:
    """Whether a label of an archive is the one of the job of this plain name."""

    def is_of(label: str) -> bool:
        found = _LABEL.fullmatch(label)
        return found is not None and bool(name) and _plain(found["name"]) == name

    return is_of


def _plain(name: str) -> str:
    """The letters and digits: GitHub leaves out or replaces what file systems do not like."""
    return _NOT_COMPARED.sub("", name.lower())
