"""A repository whose builds pass and fail as a test says, and an investigator who looks into them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from openloop.domain.redaction import Redactor
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.investigation import Investigator
from openloop.integrations.github.names import RepoName
from openloop.testing.rigs.github import GitHubRig, GitHubState, JobPlan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.integrations.github.investigation_result import Investigation
    from openloop.testing.rigs.github.ci import ActionsRun
    from openloop.testing.rigs.github.commits import Commit
    from openloop.testing.rigs.github.rows import Repository

TOKEN = "ghp_investigating_0123456789"
REPO = RepoName.parse("acme/platform")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEST = "test_vat_rounds_half_up"


def log(*lines: str) -> bytes:
    """A job's log as GitHub gives it: one step that went well, one that printed these lines."""
    whole = (
        "##[group]Run pip install -r requirements.txt",
        "shell: /usr/bin/bash -e {0}",
        "##[endgroup]",
        "ERROR: this went well all the same",
        "##[group]Run pytest",
        "shell: /usr/bin/bash -e {0}",
        "##[endgroup]",
        *lines,
        "##[error]Process completed with exit code 1.",
        "Post job cleanup.",
    )
    return "".join(f"2026-11-20T12:00:00.1234567Z {line}\n" for line in whole).encode()


def failing(test: str = TEST, *, said: str = "") -> bytes:
    return log(
        "=================================== FAILURES ===================================",
        f"___________________________ {test} ___________________________",
        ">       assert total == 2.68",
        "E       assert 2.67 == 2.68",
        "tests/test_vat.py:12: AssertionError",
        said,
        "=========================== short test summary info ============================",
        f"FAILED tests/test_vat.py::{test} - assert 2.67 == 2.68",
        "========================= 1 failed, 18 passed in 1.18s =========================",
    )


class World:
    """A repository whose builds a test lets pass and fail, an hour after each other."""

    client: GitHubClient

    def __init__(self) -> None:
        self.hours = 0
        state = GitHubState(lambda: NOON + timedelta(hours=self.hours))
        self.rig = GitHubRig(token=TOKEN, state=state)
        self.state = self.rig.state
        self.repository = self.state.add_repository(str(REPO))
        self.anna = self.state.add_user("anna")
        self.ben = self.state.add_user("ben")

    def commit(
        self, *paths: str, branch: str | None = None, by: str = "anna", text: str | None = None
    ) -> Commit:
        self.hours += 1
        return self.state.commits.add(
            self.repository,
            f"Change {', '.join(paths)}",
            by=self.anna if by == "anna" else self.ben,
            files=dict.fromkeys(paths, text or f"{self.hours}\n"),
            branch=branch,
        )

    def build(
        self,
        commit: Commit,
        raw: bytes | None = None,
        *,
        branch: str = "main",
        job: str = "test",
        event: str = "push",
        fork: Repository | None = None,
    ) -> ActionsRun:
        """A run that passes, or fails with this log."""
        plan = (
            JobPlan(name=job) if raw is None else JobPlan(name=job, conclusion="failure", log=raw)
        )
        return self.run(commit, plan, branch=branch, event=event, fork=fork)

    def run(
        self,
        commit: Commit,
        *jobs: JobPlan,
        branch: str = "main",
        event: str = "push",
        fork: Repository | None = None,
    ) -> ActionsRun:
        self.hours += 1
        return self.state.ci.run(
            self.repository,
            commit.sha,
            jobs=jobs,
            by=self.anna,
            branch=branch,
            event=event,
            head_repository=fork,
        )

    def fork(self) -> Repository:
        """A copy of the repository that is a stranger's."""
        return self.state.add_repository("mallory/platform")

    def rerun(self, run: ActionsRun, *jobs: JobPlan) -> None:
        self.hours += 1
        self.state.ci.rerun(self.repository, run, jobs=jobs)

    async def investigate(self, ref: str | None = None, *known: str) -> Investigation:
        return await Investigator(self.client, Redactor(known)).investigate(REPO, ref)


@asynccontextmanager
async def opened() -> AsyncGenerator[World]:
    """A world whose client asks its rig."""
    world = World()
    async with world.rig as rig:
        hosts = (rig.log_host.host,)
        async with GitHubClient(rig.api_url, PersonalToken(TOKEN), log_hosts=hosts) as client:
            world.client = client
            yield world
