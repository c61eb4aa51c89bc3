"""Why is a build red? What GitHub knows of it, and of every log no more than the likely cause.

Nothing here is guessed and no model is asked: the logs are analysed, files are compared with files,
and a failure is called flaky where two outcomes show it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.relating import named_files
from openloop.integrations.github.ci_resources import FAILED
from openloop.integrations.github.errors import Forbidden, NotFound, Refused
from openloop.integrations.github.exchange import LARGEST_PAGE, in_repo
from openloop.integrations.github.investigation_flakiness import Flakiness
from openloop.integrations.github.investigation_logs import Logs
from openloop.integrations.github.investigation_result import (
    Changes,
    Failure,
    Investigation,
    Owner,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from openloop.domain.redaction import Redactor
    from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.code_resources import Commit, Comparison
    from openloop.integrations.github.names import RepoName

MOST_RUNS: Final = 20
"""Of how many failed runs of a commit the jobs are listed."""
MOST_JOBS: Final = 3
"""Of how many failed jobs of a commit the logs are read."""
MOST_OWNED: Final = 3
PAGES_OF_A_BRANCH: Final = 3
"""How many pages of a branch's runs are read, newest first: strangers' runs may stand among them."""


_BUILD: Final = re.compile(r"commit/([0-9a-f]{40}(?:[0-9a-f]{24})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    name: str


class Investigator:
    """Looks into red builds through one client; what `redactor` knows is shown of no log."""

    def __init__(self, client: GitHubClient, redactor: Redactor) -> None:
        self._client = client
        self._redactor = redactor

    async def investigate(self, repo: RepoName, ref: str | None) -> Investigation:
        """Look into a commit or the tip of a branch; into the default branch where none is named.

        Where the tip's builds are not over, the newest commit of the branch that failed is meant.

        Raises:
            GitHubError
        """
        default = (await self._client.repository(repo)).default_branch
        asked = ref or default
        tip = await self._client.get_commit(repo, asked)
        if asked == tip.sha:
            return await self._at(repo, tip, _of_commit(await self._runs_at(repo, tip.sha)))
        counts = _counts_for(asked, default)
        runs = [run for run in await self._runs_at(repo, tip.sha) if counts(run)]
        if not any(run.conclusion for run in runs):
            async for earlier in self._runs_of(repo, asked, counts, status="failure"):
                commit = await self._client.get_commit(repo, earlier.head_sha)
                before = [run for run in await self._runs_at(repo, commit.sha) if counts(run)]
                newer = tip.sha if tip.sha != commit.sha else None
                return await self._at(repo, commit, before, asked=asked, newer=newer)
        return await self._at(repo, tip, runs, asked=asked)

    async def _at(
        self,
        repo: RepoName,
        commit: Commit,
        runs: Sequence[ActionsRun],
        *,
        asked: str | None = None,
        newer: str | None = None,
    ) -> Investigation:
        branches = [run.head_branch for run in runs if run.head_branch]
        branch = asked if asked in branches else next(iter(branches), None)
        found = Investigation(repo=repo, commit=commit, branch=branch, runs=runs, newer=newer)
        if not _failed(runs):
            return found
        return await self._look_into(found)

    async def _look_into(self, found: Investigation) -> Investigation:
        jobs: list[tuple[ActionsRun, ActionsJob]] = []
        without_job: list[ActionsRun] = []
        for run in _failed(found.runs)[:MOST_RUNS]:
            failed = await self._client.failed_jobs(found.repo, run.id)
            jobs += [(run, job) for job in failed]
            if not failed:
                without_job.append(run)
        logs = Logs(self._client, found.repo, self._redactor)
        failures = _grouped([await _failure(logs, run, job) for run, job in jobs[:MOST_JOBS]])
        flakiness = Flakiness(self._client, found.repo, logs)
        return replace(
            found,
            failures=tuple(
                [replace(each, flaky=await flakiness.evidence(each)) for each in failures]
            ),
            unread_jobs=tuple(job.name for _, job in jobs[MOST_JOBS:]),
            without_job=tuple(without_job),
            changes=await self._changes(found, failures),
            newer=found.newer or await self._newer(found),
        )

    # --- what changed ------------------------------------------------------------------------

    async def _changes(self, found: Investigation, failures: Sequence[Failure]) -> Changes:
        run = failures[0].run if failures else _failed(found.runs)[0]
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
        first_red = run.head_sha
        async for earlier in self._runs_of(
            repo, run.head_branch, _alike(run), status="completed", workflow_id=run.workflow_id
        ):
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

    async def _runs_of(
        self,
        repo: RepoName,
        branch: str,
        counts: Callable[[ActionsRun], bool],
        *,
        status: str,
        workflow_id: int | None = None,
    ) -> AsyncIterator[ActionsRun]:
        """The newest runs of a branch that count, as far as some pages go.

        GitHub goes by the name of the branch alone, and a fork may call its branch as we call ours.
        """
        for number in range(1, PAGES_OF_A_BRANCH + 1):
            page = await self._client.list_action_runs(
                repo,
                branch=branch,
                status=status,
                workflow_id=workflow_id,
                page=number,
                page_size=LARGEST_PAGE,
            )
            for run in page.items:
                if counts(run):
                    yield run
            if page.next_page is None:
                return

    async def _newer(self, found: Investigation) -> str | None:
        """The tip of the branch, where that is not the commit any more."""
        if not found.branch or found.from_fork is not None:
            return None
        try:
            tip = await self._client.list_commits(found.repo, ref=found.branch, page_size=1)
        except NotFound:
            return None  # the branch is gone
        return next((each.sha for each in tip.items if each.sha != found.commit.sha), None)


async def _failure(logs: Logs, run: ActionsRun, job: ActionsJob) -> Failure:
    try:
        analysis = await logs.analysis_wherever(run, job)
    except (NotFound, Forbidden, Refused) as error:
        return Failure(run=run, job=job, analysis=None, unread=str(error))
    return Failure(run=run, job=job, analysis=analysis)


def _of_commit(runs: Sequence[ActionsRun]) -> Sequence[ActionsRun]:
    """The runs of the repository itself; those of a fork where a commit was built for it alone."""
    return [run for run in runs if not run.is_of_fork] or runs


def _counts_for(branch: str, default: str) -> Callable[[ActionsRun], bool]:
    """Which runs say something of a branch.

    What others are merged into is judged by its own builds: anybody can propose to merge it elsewhere.
    """

    def counts(run: ActionsRun) -> bool:
        return run.is_of_branch if branch == default else not run.is_of_fork

    return counts


def _alike(mine: ActionsRun) -> Callable[[ActionsRun], bool]:
    """Which runs of a branch of the same name are of the same branch, and build the same sort of thing."""

    def is_alike(run: ActionsRun) -> bool:
        is_sort = run.is_of_branch if mine.is_of_branch else run.event == mine.event
        return is_sort and run.head_repo_id == mine.head_repo_id is not None

    return is_alike


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
