"""How builds, commits and what a search found are shown to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.render import Shown, clean, cut, shown_file

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.integrations.github.ci_resources import (
        ActionsJob,
        ActionsRun,
        CheckRun,
        CheckSuite,
    )
    from openloop.integrations.github.code_resources import (
        Commit,
        Comparison,
        FoundFile,
        FoundIssue,
    )

SUMMARY_LIMIT = 1_000
MESSAGE_LIMIT = 1_000
FRAGMENT_LIMIT = 400
FRAGMENTS = 3


def shown_check(check: CheckRun) -> Shown:
    """A check as a model reads it."""
    return _given(
        name=clean(check.name),
        status=check.status,
        conclusion=check.conclusion,
        app=check.app,
        completed_at=_moment(check.completed_at),
        link=check.link,
    ) | _text("summary", check.summary, SUMMARY_LIMIT)


def shown_suite(suite: CheckSuite) -> Shown:
    """The checks of one app as a model reads them."""
    return _given(
        app=suite.app,
        branch=_clean(suite.head_branch),
        status=suite.status,
        conclusion=suite.conclusion,
        updated_at=_moment(suite.updated_at),
    )


def shown_action_run(run: ActionsRun) -> Shown:
    """A run as a model reads it."""
    return _given(
        run_id=run.id,
        name=_clean(run.name),
        number=run.run_number,
        attempt=run.attempt,
        event=run.event,
        branch=_clean(run.head_branch),
        commit=run.head_sha,
        status=run.status,
        conclusion=run.conclusion,
        started_by=None if run.actor is None else run.actor.login,
        created_at=run.created_at.isoformat(),
        link=run.link,
    )


def shown_job(job: ActionsJob) -> Shown:
    """A job as a model reads it: of its steps, those that failed."""
    return _given(
        job_id=job.id,
        name=clean(job.name),
        status=job.status,
        conclusion=job.conclusion,
        started_at=_moment(job.started_at),
        completed_at=_moment(job.completed_at),
        failed_steps=[clean(step.name) for step in job.failed_steps] or None,
        link=job.link,
    )


def shown_commit(commit: Commit) -> Shown:
    """A commit as a model reads it. Its author is who git says: nobody has proved that."""
    return _given(
        commit=commit.sha,
        author=commit.author or _clean(commit.author_name),
        committed_at=_moment(commit.committed_at),
        additions=commit.additions,
        deletions=commit.deletions,
        link=commit.link,
    ) | cut("message", commit.message, MESSAGE_LIMIT)


def shown_comparison(comparison: Comparison) -> Shown:
    """What lies between two commits as a model reads it."""
    return {
        "status": comparison.status,
        "ahead_by": comparison.ahead_by,
        "behind_by": comparison.behind_by,
        "commits": [shown_commit(commit) for commit in comparison.commits],
        "files": [shown_file(file) for file in comparison.files],
        "link": comparison.link,
    }


def shown_found_issue(issue: FoundIssue) -> Shown:
    """A found issue as a model reads it."""
    return {
        "number": issue.number,
        "title": clean(issue.title),
        "state": issue.state,
        "updated_at": issue.updated_at.isoformat(),
        "link": issue.link,
        **cut("body", issue.body or "", FRAGMENT_LIMIT),
    }


def shown_found_file(file: FoundFile) -> Shown:
    """A found file as a model reads it, with the places where the words are."""
    return {
        "path": clean(file.path),
        "places": [clean(one.fragment)[:FRAGMENT_LIMIT] for one in file.matches[:FRAGMENTS]],
        "link": file.link,
    }


def _given(**fields: object) -> Shown:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def _text(name: str, text: str | None, limit: int) -> Shown:
    return cut(name, text, limit) if text else {}


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
