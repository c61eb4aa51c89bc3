"""What was found out about a commit whose build is red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.build_logs.analysis import Analysis
    from openloop.domain.build_logs.flakiness import Evidence
    from openloop.integrations.github.ci_resources import ActionsJob, ActionsRun
    from openloop.integrations.github.code_resources import Commit
    from openloop.integrations.github.names import RepoName


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
    """All that was found out about a commit.

    Its build is red where there are failures, or runs in `without_job`: those failed although none
    of their jobs did.
    """

    repo: RepoName
    commit: Commit
    branch: str | None
    runs: Sequence[ActionsRun]
    failures: tuple[Failure, ...] = ()
    unread_jobs: tuple[str, ...] = ()
    without_job: tuple[ActionsRun, ...] = ()
    changes: Changes | None = None
    newer: str | None = None

    @property
    def from_fork(self) -> str | None:
        """The repository that the commit comes from, where that is another one."""
        if not any(run.is_of_fork for run in self.runs):
            return None
        return next((run.head_repo for run in self.runs if run.head_repo), "one that is gone")
