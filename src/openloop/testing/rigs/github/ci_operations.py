"""Checks of commits, GitHub Actions, and where their logs are."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, cast

from openloop.testing.rigs.github import answers, ci_shapes
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import Asked, Route, page_of
from openloop.testing.rigs.github.code_operations import find_commit
from openloop.testing.rigs.github.rows import CheckButton

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import ActionsJob, ActionsRun, CheckRun
    from openloop.testing.rigs.github.shapes import Json

CONCLUSIONS = (
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "success",
    "skipped",
    "timed_out",
)
MOST_BUTTONS = 3


def list_check_runs(asked: Asked) -> Answer:
    """Of a commit; `latest` is the newest of each name in each suite."""
    repository, commit = asked.repository, find_commit(asked, asked.part("ref"))
    only, name = asked.choice("filter", "latest", "all"), asked.query.get("check_name")
    found = [
        check
        for check in repository.reports.checks.values()
        if check.suite.head_sha == commit.sha
        and name in {None, check.name}
        and asked.query.get("status") in {None, check.status}
    ]
    if only == "latest":
        found = [*{(check.suite.id, check.name): check for check in found}.values()]
    return page_of(
        asked,
        found[::-1],
        lambda one: ci_shapes.check_run(asked.shapes, repository, one),
        below="check_runs",
    )


def list_check_suites(asked: Asked) -> Answer:
    repository, commit = asked.repository, find_commit(asked, asked.part("ref"))
    found = [one for one in repository.reports.suites.values() if one.head_sha == commit.sha]
    return page_of(
        asked,
        found,
        lambda one: ci_shapes.check_suite(asked.shapes, repository, one, commit),
        below="check_suites",
    )


def create_check_run(asked: Asked) -> Answer:
    """Only an App may; its checks at a commit stand in one suite."""
    repository, fields, app = asked.repository, asked.fields(), _app_of(asked)
    name, head_sha = fields.get("name"), fields.get("head_sha")
    if not isinstance(name, str) or not isinstance(head_sha, str):
        raise answers.invalid("CheckRun", "name", "missing_field")
    commit = repository.history.find(head_sha)
    if commit is None:
        raise answers.invalid("CheckRun", "head_sha", "invalid")
    reports = repository.reports
    suites = [
        one for one in reports.suites.values() if (one.head_sha, one.app) == (commit.sha, app)
    ]
    suite = suites[0] if suites else asked.state.ci.suite(repository, commit.sha, app=app)
    made = asked.state.ci.check(
        repository, suite, name, by=asked.author, status="queued", conclusion=None
    )
    _change_check(asked, made)
    return Answer(201, ci_shapes.check_run(asked.shapes, repository, made))


def update_check_run(asked: Asked) -> Answer:
    check = asked.repository.reports.checks.get(int(asked.parts["check_run_id"]))
    if check is None:
        raise answers.not_found()
    if check.suite.app != _app_of(asked):
        raise answers.forbidden("Invalid app_id for check run; it belongs to another app.")
    _change_check(asked, check)
    return Answer(200, ci_shapes.check_run(asked.shapes, asked.repository, check))


def get_check_run(asked: Asked) -> Answer:
    check = asked.repository.reports.checks.get(int(asked.parts["check_run_id"]))
    if check is None:
        raise answers.not_found()
    return Answer(200, ci_shapes.check_run(asked.shapes, asked.repository, check))


def list_runs(asked: Asked) -> Answer:
    """Newest first."""
    repository, query = asked.repository, asked.query
    workflow = asked.parts.get("workflow_id")
    found = [
        run
        for run in repository.reports.runs.values()
        if query.get("head_sha") in {None, run.head_sha}
        and query.get("branch") in {None, run.head_branch}
        and query.get("event") in {None, run.event}
        and query.get("status") in {None, "completed", run.conclusion}
        and workflow in {None, str(run.workflow_id)}
    ]
    return page_of(
        asked,
        found[::-1],
        lambda one: ci_shapes.actions_run(asked.shapes, repository, one),
        below="workflow_runs",
    )


def get_run(asked: Asked) -> Answer:
    return Answer(200, ci_shapes.actions_run(asked.shapes, asked.repository, _run(asked)))


def list_jobs(asked: Asked) -> Answer:
    repository, run = asked.repository, _run(asked)
    only = asked.choice("filter", "latest", "all")
    found = [job for job in run.jobs if only == "all" or job.attempt == run.attempt]
    return page_of(
        asked,
        found,
        lambda one: ci_shapes.actions_job(asked.shapes, repository, run, one),
        below="jobs",
    )


def get_job(asked: Asked) -> Answer:
    run, job = _job(asked)
    return Answer(200, ci_shapes.actions_job(asked.shapes, asked.repository, run, job))


def get_job_log(asked: Asked) -> Answer:
    """Where the log of a job is, for a minute."""
    _, job = _job(asked)
    if job.log is None:
        raise answers.gone()
    return Answer(302, None, {"Location": asked.log_host.keep(job.log)})


def get_run_logs(asked: Asked) -> Answer:
    """Where the archive of a run's logs is: one text for each job of the last attempt."""
    run = _run(asked)
    archive = run.archive
    if archive is None:
        logs = {job.name: job.log for job in run.jobs if job.attempt == run.attempt}
        if all(log is None for log in logs.values()):
            raise answers.gone()
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
            for number, (name, log) in enumerate(logs.items()):
                if log is not None:
                    opened.writestr(f"{number}_{name}.txt", log)
        archive = written.getvalue()
    return Answer(302, None, {"Location": asked.log_host.keep(archive)})


def _run(asked: Asked) -> ActionsRun:
    found = asked.repository.reports.runs.get(int(asked.parts["run_id"]))
    if found is None:
        raise answers.not_found()
    return found


def _job(asked: Asked) -> tuple[ActionsRun, ActionsJob]:
    reports = asked.repository.reports
    job = reports.job(int(asked.parts["job_id"]))
    if job is None:
        raise answers.not_found()
    return reports.runs[job.run_id], job


def _app_of(asked: Asked) -> tuple[str, int]:
    """The App whose token it is; a person's may not write checks."""
    author = asked.author
    if author.kind != "Bot":
        raise answers.not_accessible()
    return author.login.removesuffix("[bot]"), author.id


def _change_check(asked: Asked, check: CheckRun) -> None:
    """What the body says about it."""
    fields, now = asked.fields(), asked.state.now()
    conclusion = fields.get("conclusion")
    if conclusion is not None and conclusion not in CONCLUSIONS:
        raise answers.invalid("CheckRun", "conclusion", "invalid")
    output = cast("Json", fields.get("output") or {})
    buttons = [
        CheckButton(**{name: str(text) for name, text in one.items()})
        for one in cast("list[Json]", fields.get("actions") or [])
    ]
    if len(buttons) > MOST_BUTTONS:
        raise answers.invalid("CheckRun", "actions", "invalid")
    check.title = cast("str | None", output.get("title", check.title))
    check.summary = cast("str | None", output.get("summary", check.summary))
    check.text = cast("str | None", output.get("text", check.text))
    check.external_id = str(fields.get("external_id", check.external_id))
    check.details_url = cast("str | None", fields.get("details_url", check.details_url))
    check.buttons = tuple(buttons) if "actions" in fields else check.buttons
    if conclusion is not None:
        check.status, check.completed_at = "completed", now
        check.conclusion = conclusion  # pyright: ignore[reportAttributeAccessIssue]  # one of them
    elif fields.get("status") in {"queued", "in_progress"}:
        check.status, check.conclusion, check.completed_at = "in_progress", None, None


_REPO = "/repos/{owner}/{repo}"
_RUN = f"{_REPO}/actions/runs/{{run_id}}"
_JOB = f"{_REPO}/actions/jobs/{{job_id}}"
_CHECK = f"{_REPO}/check-runs/{{check_run_id}}"
_CHECKS, _ACTIONS = ("checks",), ("actions",)

CI_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{_REPO}/commits/{{ref}}/check-runs", _CHECKS, "read", list_check_runs),
    Route("GET", f"{_REPO}/commits/{{ref}}/check-suites", _CHECKS, "read", list_check_suites),
    Route("POST", f"{_REPO}/check-runs", _CHECKS, "write", create_check_run),
    Route("GET", _CHECK, _CHECKS, "read", get_check_run),
    Route("PATCH", _CHECK, _CHECKS, "write", update_check_run),
    Route("GET", f"{_REPO}/actions/runs", _ACTIONS, "read", list_runs),
    Route("GET", f"{_REPO}/actions/workflows/{{workflow_id}}/runs", _ACTIONS, "read", list_runs),
    Route("GET", _RUN, _ACTIONS, "read", get_run),
    Route("GET", f"{_RUN}/jobs", _ACTIONS, "read", list_jobs),
    Route("GET", f"{_RUN}/logs", _ACTIONS, "read", get_run_logs),
    Route("GET", _JOB, _ACTIONS, "read", get_job),
    Route("GET", f"{_JOB}/logs", _ACTIONS, "read", get_job_log),
)
