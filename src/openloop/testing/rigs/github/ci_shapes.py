"""How GitHub writes checks and Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.rigs.github.rows import ACTIONS_APP
from openloop.testing.rigs.github.shapes import HTML_URL, node_id, written, written_or_null

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import (
        ActionsJob,
        ActionsRun,
        CheckRun,
        CheckSuite,
        Commit,
        Repository,
    )
    from openloop.testing.rigs.github.shapes import Json, Shapes


def check_run(shapes: Shapes, repository: Repository, check: CheckRun) -> Json:
    """`check-run`."""
    url = f"{shapes.api_url}/repos/{repository.full_name}/check-runs/{check.id}"
    html_url = f"{HTML_URL}/{repository.full_name}/runs/{check.id}"
    return {
        "id": check.id,
        "node_id": node_id("CheckRun", check.id),
        "head_sha": check.suite.head_sha,
        "external_id": check.external_id,
        "url": url,
        "html_url": html_url,
        "details_url": check.details_url or html_url,
        "status": check.status,
        "conclusion": check.conclusion,
        "started_at": written(check.started_at),
        "completed_at": written_or_null(check.completed_at),
        "output": {
            "title": check.title,
            "summary": check.summary,
            "text": check.text,
            "annotations_count": 0,
            "annotations_url": f"{url}/annotations",
        },
        "name": check.name,
        "check_suite": {"id": check.suite.id},
        "app": app(shapes, repository, check.suite.app),
        "pull_requests": pulls_at(shapes, repository, check.suite.head_sha),
    }


def check_suite(shapes: Shapes, repository: Repository, suite: CheckSuite, commit: Commit) -> Json:
    """`check-suite`."""
    url = f"{shapes.api_url}/repos/{repository.full_name}/check-suites/{suite.id}"
    checks = [one for one in repository.reports.checks.values() if one.suite is suite]
    return {
        "id": suite.id,
        "node_id": node_id("CheckSuite", suite.id),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": suite.status,
        "conclusion": suite.conclusion,
        "url": url,
        "before": commit.parents[0] if commit.parents else None,
        "after": suite.head_sha,
        "pull_requests": pulls_at(shapes, repository, suite.head_sha),
        "app": app(shapes, repository, suite.app),
        "repository": minimal_repository(shapes, repository),
        "created_at": written(suite.created_at),
        "updated_at": written(suite.updated_at),
        "head_commit": simple_commit(commit),
        "latest_check_runs_count": len({one.name for one in checks}),
        "check_runs_url": f"{url}/check-runs",
    }


def actions_run(shapes: Shapes, repository: Repository, run: ActionsRun) -> Json:
    """`workflow-run`."""
    api = f"{shapes.api_url}/repos/{repository.full_name}"
    url = f"{api}/actions/runs/{run.id}"
    commit = repository.history.commits.get(run.head_sha)
    links: Json = {
        f"{name}_url": f"{url}/{name}" for name in ("jobs", "logs", "artifacts", "cancel", "rerun")
    }
    return links | {
        "id": run.id,
        "name": run.name,
        "node_id": node_id("WorkflowRun", run.id),
        "check_suite_id": run.suite.id,
        "check_suite_node_id": node_id("CheckSuite", run.suite.id),
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "path": f".github/workflows/{run.name.lower()}.yml",
        "display_title": commit.message if commit is not None else run.name,
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
        "status": "completed",
        "conclusion": run.conclusion,
        "workflow_id": run.workflow_id,
        "url": url,
        "html_url": f"{HTML_URL}/{repository.full_name}/actions/runs/{run.id}",
        "pull_requests": pulls_at(shapes, repository, run.head_sha),
        "created_at": written(run.created_at),
        "updated_at": written(run.updated_at),
        "run_started_at": written(run.created_at),
        "actor": shapes.user(run.actor),
        "triggering_actor": shapes.user(run.actor),
        "check_suite_url": f"{api}/check-suites/{run.suite.id}",
        "previous_attempt_url": f"{url}/attempts/{run.attempt - 1}" if run.attempt > 1 else None,
        "workflow_url": f"{api}/actions/workflows/{run.workflow_id}",
        "head_commit": None if commit is None else simple_commit(commit),
        "repository": minimal_repository(shapes, repository),
        "head_repository": minimal_repository(shapes, run.head_repository),
    }


def actions_job(shapes: Shapes, repository: Repository, run: ActionsRun, job: ActionsJob) -> Json:
    """`job`."""
    api = f"{shapes.api_url}/repos/{repository.full_name}"
    page = f"{HTML_URL}/{repository.full_name}/actions/runs/{run.id}/job/{job.id}"
    started, completed = written(job.check.started_at), written_or_null(job.check.completed_at)
    return {
        "id": job.id,
        "run_id": run.id,
        "run_url": f"{api}/actions/runs/{run.id}",
        "run_attempt": job.attempt,
        "node_id": node_id("Job", job.id),
        "head_sha": run.head_sha,
        "url": f"{api}/actions/jobs/{job.id}",
        "html_url": page,
        "status": "completed",
        "conclusion": job.conclusion,
        "created_at": started,
        "started_at": started,
        "completed_at": completed,
        "name": job.name,
        "steps": [
            {
                "status": "completed",
                "conclusion": step.conclusion,
                "name": step.name,
                "number": number,
                "started_at": started,
                "completed_at": completed,
            }
            for number, step in enumerate(job.steps, 1)
        ],
        "check_run_url": f"{api}/check-runs/{job.check.id}",
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "rig",
        "runner_group_id": 1,
        "runner_group_name": "Default",
        "workflow_name": run.name,
        "head_branch": run.head_branch,
    }


def app(shapes: Shapes, repository: Repository, who: tuple[str, int]) -> Json:
    """`integration`: the App that reports."""
    slug, number = who
    owner = repository.owner
    return {
        "id": number,
        "slug": slug,
        "node_id": node_id("App", number),
        "owner": shapes.user(owner),
        "name": "GitHub Actions" if who == ACTIONS_APP else slug,
        "description": None,
        "external_url": f"{HTML_URL}/apps/{slug}",
        "html_url": f"{HTML_URL}/apps/{slug}",
        "created_at": written(owner.joined_at),
        "updated_at": written(owner.joined_at),
        "permissions": {"checks": "write", "metadata": "read"},
        "events": [],
    }


def minimal_repository(shapes: Shapes, repository: Repository) -> Json:
    """`minimal-repository`; what `repository` has beyond it is left out."""
    whole = shapes.repository(repository, None)
    more = {"forks", "open_issues", "watchers", "license", "permissions"}
    return {name: whole[name] for name in whole if name not in more}


def simple_commit(commit: Commit) -> Json:
    """`simple-commit`."""
    person = {
        "name": commit.author.login,
        "email": f"{commit.author.id}@users.noreply.github.test",
    }
    return {
        "id": commit.sha,
        "tree_id": commit.tree_sha,
        "message": commit.message,
        "timestamp": written(commit.made_at),
        "author": person,
        "committer": person,
    }


def pulls_at(shapes: Shapes, repository: Repository, head_sha: str) -> list[Json]:
    """`pull-request-minimal` of each open one; a fork's are left out, as GitHub does."""
    pulls: list[Json] = []
    for issue in repository.issues.values():
        part = issue.pull
        if part is None or part.fork is not None or part.head_sha != head_sha:
            continue
        url = f"{shapes.api_url}/repos/{repository.full_name}"
        repo = {"id": repository.id, "url": url, "name": repository.name}
        target = part.target or repository.default_branch
        pulls.append(
            {
                "id": part.id,
                "number": issue.number,
                "url": f"{url}/pulls/{issue.number}",
                "head": {"ref": part.head, "sha": part.head_sha, "repo": repo},
                "base": {"ref": target, "sha": part.base_sha, "repo": repo},
            }
        )
    return pulls
