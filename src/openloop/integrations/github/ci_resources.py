"""What we read of checks and of GitHub Actions: only the fields that are used.

A commit's checks stand in suites, one for each app; the suite of GitHub Actions holds its runs,
a run has jobs, and every job is a check as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasPath, Field

from openloop.integrations.github.resources import User

FAILED = frozenset({"failure", "timed_out", "startup_failure"})
"""The conclusions that say that something is broken; cancelled and skipped say nothing of it."""

_OF_A_BRANCH = frozenset(
    {"push", "schedule", "workflow_dispatch", "repository_dispatch", "merge_group", "dynamic"}
)
"""The events that build what a branch holds. Anybody can cause most of the others."""

Conclusion = str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRun:
    """One check of a commit: a job of GitHub Actions, or anything else that reports."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: Conclusion = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    link: Annotated[str | None, Field(validation_alias="html_url")] = None
    details_url: str | None = None
    app: Annotated[str | None, Field(validation_alias=AliasPath("app", "slug"))] = None
    suite_id: Annotated[int | None, Field(validation_alias=AliasPath("check_suite", "id"))] = None
    title: Annotated[str | None, Field(validation_alias=AliasPath("output", "title"))] = None
    summary: Annotated[str | None, Field(validation_alias=AliasPath("output", "summary"))] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSuite:
    """The checks of one app at one commit."""

    id: int
    head_sha: str
    head_branch: str | None = None
    status: str | None = None
    conclusion: Conclusion = None
    app: Annotated[str | None, Field(validation_alias=AliasPath("app", "slug"))] = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsRun:
    """One run of GitHub Actions.

    `head_repo` is another repository for a pull from a fork, and nothing where that fork is gone.
    Whoever forks chooses the name of `head_branch`: it may be the name of a branch of ours.
    """

    id: int
    name: str | None = None
    run_number: int
    attempt: Annotated[int, Field(validation_alias="run_attempt")] = 1
    event: str
    status: str | None = None
    conclusion: Conclusion = None
    head_sha: str
    head_branch: str | None = None
    path: str = ""
    created_at: datetime
    updated_at: datetime
    link: Annotated[str, Field(validation_alias="html_url")]
    actor: User | None = None
    workflow_id: int = 0
    suite_id: Annotated[int | None, Field(validation_alias="check_suite_id")] = None
    head_repo: Annotated[
        str | None, Field(validation_alias=AliasPath("head_repository", "full_name"))
    ] = None
    head_repo_id: Annotated[
        int | None, Field(validation_alias=AliasPath("head_repository", "id"))
    ] = None
    repo_id: Annotated[int | None, Field(validation_alias=AliasPath("repository", "id"))] = None

    @property
    def is_of_fork(self) -> bool:
        """True where what was built may come from another repository than the one it ran in."""
        return self.repo_id is None or self.head_repo_id != self.repo_id

    @property
    def is_of_branch(self) -> bool:
        """True where what was built is the commit itself, because the branch holds it.

        For a pull request its merge is built, under the id of the commit that is merged.
        """
        return not self.is_of_fork and self.event in _OF_A_BRANCH


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsStep:
    """One step of a job."""

    number: int
    name: str
    status: str
    conclusion: Conclusion = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsJob:
    """One job of a run; its log is fetched by its id."""

    id: int
    run_id: int
    attempt: Annotated[int, Field(validation_alias="run_attempt")] = 1
    name: str
    head_sha: str
    status: Literal["queued", "in_progress", "completed", "waiting", "requested", "pending"]
    conclusion: Conclusion = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    link: Annotated[str | None, Field(validation_alias="html_url")] = None
    workflow_name: str | None = None
    runner_name: str | None = None
    labels: tuple[str, ...] = ()
    steps: tuple[ActionsStep, ...] = ()

    @property
    def has_failed(self) -> bool:
        """True where it ended broken; one that was cancelled or skipped has not."""
        return self.conclusion in FAILED

    @property
    def failed_steps(self) -> tuple[ActionsStep, ...]:
        return tuple(step for step in self.steps if step.conclusion in FAILED)
