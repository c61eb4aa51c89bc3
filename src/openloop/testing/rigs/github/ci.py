"""Checks and GitHub Actions of the fake: suites, check runs, runs, jobs and their logs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.testing.rigs.github.happened import Happened
from openloop.testing.rigs.github.rows import (
    ACTIONS_APP,
    ActionsJob,
    ActionsRun,
    ActionsStep,
    CheckRun,
    CheckSuite,
    Conclusion,
    JobPlan,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.testing.rigs.github.chronicle import Chronicle
    from openloop.testing.rigs.github.rows import Repository, User


class CI:
    """The way to make runs and checks happen."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle

    def run(
        self,
        repository: Repository,
        head_sha: str,
        *,
        jobs: Sequence[JobPlan],
        by: User,
        name: str = "CI",
        branch: str | None = "main",
        event: str = "push",
        head_repository: Repository | None = None,
    ) -> ActionsRun:
        """A run that is over, with its suite, its jobs and their checks; all of it is told."""
        now, reports = self._chronicle.now(), repository.reports
        suite = self.suite(repository, head_sha, branch=branch, app=ACTIONS_APP)
        made = ActionsRun(
            id=self._chronicle.new_id(),
            number=len(reports.runs) + 1,
            name=name,
            workflow_id=sum(map(ord, name)) + 1,
            event=event,
            head_sha=head_sha,
            head_branch=branch,
            head_repository=head_repository or repository,
            actor=by,
            suite=suite,
            created_at=now,
            updated_at=now,
        )
        reports.runs[made.id] = made
        self._attempt(repository, made, jobs)
        return made

    def rerun(self, repository: Repository, run: ActionsRun, *, jobs: Sequence[JobPlan]) -> None:
        """Another attempt of a run, with these jobs."""
        run.attempt += 1
        self._attempt(repository, run, jobs)

    def suite(
        self,
        repository: Repository,
        head_sha: str,
        *,
        branch: str | None = "main",
        app: tuple[str, int] = ACTIONS_APP,
    ) -> CheckSuite:
        """A suite of an app at a commit that has nothing in it yet."""
        now = self._chronicle.now()
        made = CheckSuite(
            id=self._chronicle.new_id(),
            app=app,
            head_sha=head_sha,
            head_branch=branch,
            status="queued",
            conclusion=None,
            created_at=now,
            updated_at=now,
        )
        repository.reports.suites[made.id] = made
        return made

    def check(
        self,
        repository: Repository,
        suite: CheckSuite,
        name: str,
        *,
        by: User,
        status: Status = "completed",
        conclusion: Conclusion | None = "success",
        **more: str | None,
    ) -> CheckRun:
        """A check in a suite; `more` are `external_id`, `details_url`, `title`, `summary`, `text`."""
        now = self._chronicle.now()
        made = CheckRun(
            id=self._chronicle.new_id(),
            suite=suite,
            name=name,
            status=status,
            conclusion=conclusion if status == "completed" else None,
            started_at=now,
            completed_at=now if status == "completed" else None,
        )
        for field_name, text in more.items():
            setattr(made, field_name, text)
        repository.reports.checks[made.id] = made
        self._tell_check(repository, made, "created", by=by)
        if status == "completed":
            self._tell_check(repository, made, "completed", by=by)
        return made

    def click(self, repository: Repository, check: CheckRun, identifier: str, *, by: User) -> None:
        """Somebody clicks a button of a check; only its app hears of it."""
        self._tell_check(repository, check, "requested_action", by=by, requested=identifier)

    def _attempt(self, repository: Repository, run: ActionsRun, jobs: Sequence[JobPlan]) -> None:
        now = self._chronicle.now()
        made = [self._job(repository, run, plan) for plan in jobs]
        run.jobs += made
        run.updated_at = run.suite.updated_at = now
        run.conclusion = _worst([job.conclusion for job in made])
        run.suite.status, run.suite.conclusion = "completed", run.conclusion
        about = Happened(
            event="workflow_run",
            action="completed",
            repository=repository,
            sender=run.actor,
            run=run,
            suite=run.suite,
        )
        for job in made:
            self._chronicle.tell(replace(about, event="workflow_job", job=job))
        self._chronicle.tell(about)
        self._chronicle.tell(replace(about, event="check_suite"))

    def _job(self, repository: Repository, run: ActionsRun, plan: JobPlan) -> ActionsJob:
        check = self.check(
            repository, run.suite, plan.name, by=run.actor, conclusion=plan.conclusion
        )
        steps = plan.steps or (ActionsStep(name="Test", conclusion=plan.conclusion),)
        return ActionsJob(
            id=check.id,
            run_id=run.id,
            attempt=run.attempt,
            check=check,
            name=plan.name,
            conclusion=plan.conclusion,
            steps=steps,
            log=plan.log,
        )

    def _tell_check(
        self,
        repository: Repository,
        check: CheckRun,
        action: str,
        *,
        by: User,
        requested: str | None = None,
    ) -> None:
        self._chronicle.tell(
            Happened(
                event="check_run",
                action=action,
                repository=repository,
                sender=by,
                check=check,
                suite=check.suite,
                requested=requested,
            )
        )


def _worst(conclusions: Sequence[Conclusion]) -> Conclusion:
    order: tuple[Conclusion, ...] = ("failure", "timed_out", "cancelled", "action_required")
    for one in order:
        if one in conclusions:
            return one
    return "success"
