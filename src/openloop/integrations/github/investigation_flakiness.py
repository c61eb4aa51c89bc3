"""Does a failure come and go by itself? Outcomes at the same commit and at others, that can be compared.

What an outsider can cause shows nothing: a fork may have a job of the same name, and its log says
what its author likes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.flakiness import Outcome, evidence_of
from openloop.domain.build_logs.showing import is_whole
from openloop.integrations.github.ci_resources import FAILED
from openloop.integrations.github.errors import Forbidden, NotFound, Refused
from openloop.integrations.github.exchange import LARGEST_PAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from openloop.domain.build_logs.analysis import Analysis
    from openloop.domain.build_logs.flakiness import Evidence
    from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.investigation_logs import Logs
    from openloop.integrations.github.investigation_result import Failure
    from openloop.integrations.github.names import RepoName

MOST_COMPARED: Final = 3
"""How many runs of one commit are compared, and of how many other commits the log is read."""

_SAME_AGAIN: Final = frozenset({"push", "schedule"})
"""The events of which two runs at one commit of one branch were given the same: nobody chose an input."""


class Flakiness:
    """Looks for evidence in the other runs of one repository."""

    def __init__(self, client: GitHubClient, repo: RepoName, logs: Logs) -> None:
        self._client = client
        self._repo = repo
        self._logs = logs

    async def evidence(self, failure: Failure) -> tuple[Evidence, ...]:
        """What shows that a failure is flaky; empty where nothing does.

        Raises:
            GitHubError
        """
        mine = _outcome_of(failure.job, failure.analysis)
        others = [each async for each in self._at_the_commit(failure)]
        elsewhere = [each async for each in self._elsewhere(failure, mine)]
        unrelated = {
            other.commit
            for other in elsewhere
            if await self._are_unrelated(failure, mine.commit, other.commit)
        }
        return evidence_of(mine, [*others, *elsewhere], unrelated=unrelated)

    async def _at_the_commit(self, failure: Failure) -> AsyncIterator[Outcome]:
        """All attempts at the same job, in its run and in those that were given the same to build."""
        for run in await self._runs_alike(failure.run):
            jobs = await self._client.list_jobs(
                self._repo, run.id, only="all", page_size=LARGEST_PAGE
            )
            named = [job for job in jobs.items if job.name == failure.job.name]
            if max(Counter(job.attempt for job in named).values(), default=0) > 1:
                continue  # of several jobs of one name nobody can tell which is which
            for job in named:
                if job.id != failure.job.id:
                    yield _outcome_of(job, None)

    async def _runs_alike(self, mine: ActionsRun) -> Sequence[ActionsRun]:
        """A run for a pull request builds a merge: only its own attempts are at the same thing."""
        if mine.event not in _SAME_AGAIN or mine.is_of_fork:
            return [mine]
        runs = await self._client.list_action_runs(
            self._repo,
            head_sha=mine.head_sha,
            workflow_id=mine.workflow_id,
            page_size=LARGEST_PAGE,
        )
        alike = (
            run
            for run in runs.items
            if run.id != mine.id
            and not run.is_of_fork
            and (run.event, run.head_branch) == (mine.event, mine.head_branch)
        )
        return [mine, *alike][:MOST_COMPARED]

    async def _elsewhere(self, failure: Failure, mine: Outcome) -> AsyncIterator[Outcome]:
        """How the same job failed at other commits, where it is a test that failed here.

        Only where both are builds of their commits: two merges have in common what they are merged into.
        """
        if not mine.failed_tests or not failure.run.is_of_branch:
            return
        runs = await self._client.list_action_runs(
            self._repo,
            workflow_id=failure.run.workflow_id,
            status="failure",
            page_size=LARGEST_PAGE,
        )
        newest: dict[str, ActionsRun] = {}
        for run in runs.items:
            if run.is_of_branch and run.head_sha != mine.commit:
                newest.setdefault(run.head_sha, run)
        for run in [*newest.values()][:MOST_COMPARED]:
            for job in await self._client.failed_jobs(self._repo, run.id):
                if job.name != failure.job.name:
                    continue
                try:
                    yield _outcome_of(job, await self._logs.analysis(job))
                except (NotFound, Forbidden, Refused):
                    continue  # its log is gone: it shows nothing

    async def _are_unrelated(self, failure: Failure, one: str, other: str) -> bool:
        """Neither has what the other changed, and where both come from the same builds passed."""
        between = await self._client.compare(self._repo, other, one)
        if between.status != "diverged" or between.merge_base is None:
            return False
        before = await self._client.list_action_runs(
            self._repo,
            head_sha=between.merge_base,
            workflow_id=failure.run.workflow_id,
            page_size=LARGEST_PAGE,
        )
        ended = [run.conclusion for run in before.items if run.conclusion and run.is_of_branch]
        return "success" in ended and not FAILED.intersection(ended)


def _outcome_of(job: ActionsJob, analysis: Analysis | None) -> Outcome:
    """How a job ended, with the tests that failed, as far as its log was read."""
    excerpts = () if analysis is None else analysis.excerpts
    tests = (each.subject for each in excerpts if each.kind is FailureKind.TEST)
    return Outcome(
        commit=job.head_sha,
        job=job.name,
        attempt=job.attempt,
        has_passed=job.conclusion == "success",
        link=job.link or "",
        failed_tests=frozenset(test for test in tests if test and is_whole(test)),
    )
