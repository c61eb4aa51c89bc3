"""What happened in the fake GitHub, told to whoever delivers it as webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import (
        ActionsJob,
        ActionsRun,
        CheckRun,
        CheckSuite,
        Comment,
        Commit,
        Issue,
        Label,
        Repository,
        Review,
        ReviewComment,
        User,
    )

Event = Literal[
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "check_run",
    "check_suite",
    "workflow_run",
    "workflow_job",
    "push",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event under GitHub's names (`issues` / `labeled`), with the things it is about.

    `before` is the text that an edit replaced; `requested` the identifier of a check's button.
    """

    event: Event
    action: str
    repository: Repository
    sender: User
    issue: Issue | None = None
    comment: Comment | None = None
    review: Review | None = None
    review_comment: ReviewComment | None = None
    label: Label | None = None
    assignee: User | None = None
    before: str | None = None
    suite: CheckSuite | None = None
    check: CheckRun | None = None
    requested: str | None = None
    run: ActionsRun | None = None
    job: ActionsJob | None = None
    commit: Commit | None = None
