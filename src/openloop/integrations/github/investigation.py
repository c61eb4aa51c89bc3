"""Why is a build red? What GitHub knows of it, and of every log no more than the likely cause.

Nothing here is guessed and no model is asked: the logs are analysed, files are compared with files,
and a failure is called flaky where two outcomes show it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analyser import analyse
from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.flakiness import Outcome, evidence_of
from openloop.domain.build_logs.relating import named_files
from openloop.integrations.github.ci_resources import FAILED
from openloop.integrations.github.errors import Forbidden, NotFound, Refused
from openloop.integrations.github.exchange import LARGEST_PAGE, in_repo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from openloop.domain.build_logs.analysis import Analysis
    from openloop.domain.build_logs.flakiness import Evidence
    from openloop.domain.redaction import Redactor
    from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.code_resources import Commit, Comparison
    from openloop.integrations.github.logs import Log
    from openloop.integrations.github.names import RepoName

MOST_JOBS: Final = 3
"""Of how many failed jobs of a commit the logs are read."""
MOST_ELSEWHERE: Final = 3
"""Of how many other commits the log is read to find the same test failing."""
MOST_OWNED: Final = 3
_RUNS_LOOKED_AT: Final = 30


_BUILD: Final = re.compile(r"commit/([0-9a-f]{40}(?:[0-9a-f]{24})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed job: what its log says, and what shows that it comes and goes by itself.

    `analysis` is None where the log is gone or may not be read; `unread` says why.
    """

    run: ActionsRun
    job: ActionsJob
    analysis: Analysis | None
    unread: str = ""
    flaky: tuple[Evidence, ...] = ()
    also_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who changed something that a log names, or the whole; git's word, and no proof."""

    login: str
    because: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is new since the last green commit of the same branch; without one, the commit itself.

    `named` are the changed files that the logs name, with lines of the first log that does.
    """

    since: str | None
    commits: Sequence[Commit]
    files: Sequence[str]
    named: Mapping[str, Sequence[int]]
    first_red: str | None
    link: str
    owners: tuple[Owner, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """All that was found out about a commit whose build is red; without failures it is not."""

    repo: RepoName
    commit: Commit
    branch: str | None
    runs: Sequence[ActionsRun]
    failures: tuple[Failure, ...] = ()
    unread_jobs: tuple[str, ...] = ()
    changes: Changes | None = None
    newer: str | None = None

    @property
    def from_fork(self) -> str | None:
        """The repository that the commit comes from, where that is another one."""
        others = (run.head_repo for run in self.runs)
        return next(
            (name for name in others if name and name.lower() != str(self.repo).lower()), None
        )


class Investigator:
    """Looks into red builds through one client."""

    def __init__(self, client: GitHubClient, redactor: Redactor) -> None:
        self._client = client
        self._redactor = redactor

    async def investigate(self, repo: RepoName, ref: str | None) -> Investigation:
        """Look into a commit or the tip of a branch; into the default branch where none is named.

        Where the tip's builds are not over, the newest commit of the branch that failed is meant.

        Raises:
            GitHubError
        """
        ref = ref or (await self._client.repository(repo)).default_branch
        tip = await self._client.get_commit(repo, ref)
        runs = await self._runs_at(repo, tip.sha)
        commit, newer = tip, None
        if not _failed(runs) and tip.sha != ref:
            earlier = await self._newest_failed(repo, ref)
            if earlier is not None and not any(run.conclusion for run in runs):
                commit, newer = await self._client.get_commit(repo, earlier), tip.sha
                runs = await self._runs_at(repo, earlier)
        branch = next((run.head_branch for run in runs if run.head_branch), None)
        found = Investigation(repo=repo, commit=commit, branch=branch, runs=runs, newer=newer)
        if not _failed(runs):
            return found
        return await self._look_into(found)

    async def _look_into(self, found: Investigation) -> Investigation:
        jobs = [
            (run, job)
            for run in _failed(found.runs)
            for job in await self._client.failed_jobs(found.repo, run.id)
        ]
        failures = [await self._failure(found.repo, run, job) for run, job in jobs[:MOST_JOBS]]
        failures = _grouped(failures)
        return replace(
            found,
            failures=tuple([await self._with_flakiness(found.repo, each) for each in failures]),
            unread_jobs=tuple(job.name for _, job in jobs[MOST_JOBS:]),
            changes=await self._changes(found, failures),
            newer=found.newer or await self._newer(found),
        )

    # --- the logs ----------------------------------------------------------------------------

    async def _failure(self, repo: RepoName, run: ActionsRun, job: ActionsJob) -> Failure:
        try:
            analysis = await self._analysis(repo, job.id)
        except (NotFound, Forbidden, Refused) as error:
            return Failure(run=run, job=job, analysis=None, unread=str(error))
        return Failure(run=run, job=job, analysis=analysis)

    async def _analysis(self, repo: RepoName, job_id: int) -> Analysis:
        log = await self._client.job_log(repo, job_id)
        return await asyncio.to_thread(analyse, pieces(log), self._redactor)

    # --- flaky or not ------------------------------------------------------------------------

    async def _with_flakiness(self, repo: RepoName, failure: Failure) -> Failure:
        mine = outcome_of(failure.job, failure.analysis)
        others = [each async for each in self._outcomes_at(repo, failure)]
        elsewhere = [each async for each in self._outcomes_elsewhere(repo, failure, mine)]
        unrelated = {
            other.commit
            for other in elsewhere
            if await self._are_unrelated(repo, failure, mine.commit, other.commit)
        }
        flaky = evidence_of(mine, [*others, *elsewhere], unrelated=unrelated)
        return replace(failure, flaky=flaky)

    async def _outcomes_at(self, repo: RepoName, failure: Failure) -> AsyncIterator[Outcome]:
        """All attempts at the same job of the same commit, in every run of its kind."""
        runs = await self._client.list_action_runs(
            repo, head_sha=failure.run.head_sha, workflow_id=failure.run.workflow_id
        )
        for run in runs.items[:MOST_ELSEWHERE]:
            jobs = await self._client.list_jobs(repo, run.id, only="all", page_size=LARGEST_PAGE)
            for job in jobs.items:
                if job.name == failure.job.name and job.id != failure.job.id:
                    yield outcome_of(job, None)

    async def _outcomes_elsewhere(
        self, repo: RepoName, failure: Failure, mine: Outcome
    ) -> AsyncIterator[Outcome]:
        """How the same job failed at other commits, where it is a test that failed here."""
        if not mine.failed_tests:
            return
        runs = await self._client.list_action_runs(
            repo, workflow_id=failure.run.workflow_id, status="failure", page_size=_RUNS_LOOKED_AT
        )
        others = {run.head_sha: run for run in reversed(runs.items) if run.head_sha != mine.commit}
        for run in [*reversed(others.values())][:MOST_ELSEWHERE]:
            for job in await self._client.failed_jobs(repo, run.id):
                if job.name != failure.job.name:
                    continue
                try:
                    yield outcome_of(job, await self._analysis(repo, job.id))
                except (NotFound, Forbidden, Refused):
                    continue  # its log is gone: it shows nothing

    async def _are_unrelated(self, repo: RepoName, failure: Failure, one: str, other: str) -> bool:
        """Neither has what the other changed, and where both come from the same builds passed."""
        between = await self._client.compare(repo, other, one)
        if between.status != "diverged" or between.merge_base is None:
            return False
        before = await self._client.list_action_runs(
            repo, head_sha=between.merge_base, workflow_id=failure.run.workflow_id
        )
        ended = [run.conclusion for run in before.items if run.conclusion]
        return "success" in ended and not FAILED.intersection(ended)

    # --- what changed ------------------------------------------------------------------------

    async def _changes(self, found: Investigation, failures: Sequence[Failure]) -> Changes:
        run = failures[0].run if failures else found.runs[0]
        green, first_red = await self._history(found.repo, run)
        between: Comparison | None = None
        if green is not None:
            between = await self._client.compare(found.repo, green, found.commit.sha)
        files = between.files if between is not None else found.commit.files
        commits = between.commits if between is not None else (found.commit,)
        excerpts = [
            excerpt
            for each in failures
            if each.analysis is not None
            for excerpt in each.analysis.excerpts
        ]
        named = named_files(excerpts, [file.filename for file in files])
        return Changes(
            since=green,
            commits=commits,
            files=[file.filename for file in files],
            named=named,
            first_red=first_red,
            link=found.commit.link if between is None else between.link,
            owners=await self._owners(found, [*named], commits),
        )

    async def _history(self, repo: RepoName, run: ActionsRun) -> tuple[str | None, str | None]:
        """The last commit of the branch at which this passed, and the first since that failed."""
        if not run.head_branch:
            return None, None
        before = await self._client.list_action_runs(
            repo,
            branch=run.head_branch,
            workflow_id=run.workflow_id,
            status="completed",
            page_size=_RUNS_LOOKED_AT,
        )
        first_red = run.head_sha
        for earlier in before.items:
            if earlier.created_at > run.created_at or earlier.head_sha == run.head_sha:
                continue
            if earlier.conclusion == "success":
                return earlier.head_sha, first_red
            if earlier.conclusion in FAILED:
                first_red = earlier.head_sha
        return None, None

    async def _owners(
        self, found: Investigation, named: Sequence[str], commits: Sequence[Commit]
    ) -> tuple[Owner, ...]:
        """Who last changed each file that is named; else who made the change, where it is one."""
        owners: list[Owner] = []
        for path in named[:MOST_OWNED]:
            last = await self._client.list_commits(
                found.repo, ref=found.commit.sha, path=path, page_size=1
            )
            owners += [_owner(each, f"last changed {path}") for each in last.items]
        if not owners and len(commits) == 1:
            owners.append(_owner(commits[0], "made the only change since it was green"))
        return tuple(dict.fromkeys(owners))

    # --- which commit ------------------------------------------------------------------------

    async def _runs_at(self, repo: RepoName, sha: str) -> Sequence[ActionsRun]:
        runs = await self._client.list_action_runs(repo, head_sha=sha, page_size=LARGEST_PAGE)
        return runs.items

    async def _newest_failed(self, repo: RepoName, branch: str) -> str | None:
        runs = await self._client.list_action_runs(
            repo, branch=branch, status="failure", page_size=1
        )
        return runs.items[0].head_sha if runs.items else None

    async def _newer(self, found: Investigation) -> str | None:
        """The tip of the branch, where that is not the commit any more."""
        if not found.branch or found.from_fork is not None:
            return None
        try:
            tip = await self._client.list_commits(found.repo, ref=found.branch, page_size=1)
        except NotFound:
            return None  # the branch is gone
        return next((each.sha for each in tip.items if each.sha != found.commit.sha), None)


def pieces(log: Log) -> Sequence[bytes]:
    """A log for the analyser; what was not kept of it stands as empty lines, so that numbers fit."""
    return (log.beginning, b"\n" * log.skipped_lines, log.ending)


def outcome_of(job: ActionsJob, analysis: Analysis | None) -> Outcome:
    """How a job ended, with the tests that failed, as far as its log was read."""
    excerpts = () if analysis is None else analysis.excerpts
    tests = (each.subject for each in excerpts if each.kind is FailureKind.TEST and each.subject)
    return Outcome(
        commit=job.head_sha,
        job=job.name,
        attempt=job.attempt,
        has_passed=job.conclusion == "success",
        link=job.link or "",
        failed_tests=frozenset(tests),
    )


def _failed(runs: Sequence[ActionsRun]) -> Sequence[ActionsRun]:
    return [run for run in runs if run.conclusion in FAILED]


def _grouped(failures: Sequence[Failure]) -> list[Failure]:
    """Jobs that failed for the same reason, as one: the others are named beside it."""
    groups: dict[object, list[Failure]] = {}
    for each in failures:
        cause = None if each.analysis is None else each.analysis.cause
        key = each.job.id if cause is None else (cause.kind, cause.subject, cause.causal_text)
        groups.setdefault(key, []).append(each)
    return [
        replace(first, also_in=tuple(each.job.name for each in rest))
        for first, *rest in groups.values()
    ]


def _owner(commit: Commit, because: str) -> Owner:
    login = commit.author or commit.author_name or "nobody that GitHub knows"
    return Owner(login=login, because=because, link=commit.link)


async def is_stale(client: GitHubClient, repo: RepoName, message_id: str) -> bool:
    """Whether a message tells of a build at a commit that no branch ends with any more.

    Raises:
        GitHubError
    """
    found = _BUILD.fullmatch(message_id)
    if found is None:
        return False
    endpoint = in_repo(repo, "commits", found[1], "branches-where-head")
    return not (await client.read_page(_Branch, endpoint, {})).items
