"""Looking into a red build: from GitHub's lists and logs to what can be said of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.redaction import Redactor
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.investigation import Investigator
from openloop.integrations.github.investigation_render import shown_investigation
from openloop.integrations.github.investigation_tool import investigation_tools
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.versions import Versions
from openloop.testing.rigs.github import GitHubRig, GitHubState, JobPlan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.integrations.github.investigation import Investigation
    from openloop.testing.rigs.github.ci import ActionsRun
    from openloop.testing.rigs.github.commits import Commit

TOKEN = "ghp_investigating_0123456789"
REPO = RepoName.parse("acme/platform")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "s3cret-of-the-registry-81c5"
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
        self, commit: Commit, raw: bytes | None = None, *, branch: str = "main", job: str = "test"
    ) -> ActionsRun:
        """A run that passes, or fails with this log."""
        self.hours += 1
        plan = (
            JobPlan(name=job) if raw is None else JobPlan(name=job, conclusion="failure", log=raw)
        )
        return self.state.ci.run(
            self.repository, commit.sha, jobs=[plan], by=self.anna, branch=branch
        )

    def rerun(self, run: ActionsRun, *jobs: JobPlan) -> None:
        self.hours += 1
        self.state.ci.rerun(self.repository, run, jobs=jobs)

    async def investigate(self, ref: str | None = None, *known: str) -> Investigation:
        return await Investigator(self.client, Redactor(known)).investigate(REPO, ref)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.rig as rig:
        hosts = (rig.log_host.host,)
        async with GitHubClient(rig.api_url, PersonalToken(TOKEN), log_hosts=hosts) as client:
            world.client = client
            yield world


async def test_a_red_branch_is_explained_by_the_line_the_files_and_the_people(world: World) -> None:
    green = world.commit("src/vat.py", "tests/test_vat.py")
    world.build(green)
    red = world.commit("tests/test_vat.py", by="ben")
    world.build(red, failing())

    found = await world.investigate()

    [failure] = found.failures
    assert failure.analysis is not None
    cause = failure.analysis.cause
    assert cause is not None
    assert (cause.kind, cause.subject) == (FailureKind.TEST, TEST)
    assert cause.causal_text == "E       assert 2.67 == 2.68"
    assert failure.flaky == ()
    assert found.changes is not None
    assert (found.changes.since, found.changes.first_red) == (green.sha, red.sha)
    assert [*found.changes.named] == ["tests/test_vat.py"]
    [owner] = found.changes.owners
    assert (owner.login, owner.because) == ("ben", "last changed tests/test_vat.py")


async def test_what_broke_it_first_is_found_although_others_came_later(world: World) -> None:
    world.build(world.commit("a.py"))
    first = world.commit("src/vat.py")
    world.build(first, failing())
    later = world.commit("README.md", by="ben")
    world.build(later, failing())

    found = await world.investigate("main")

    assert found.commit.sha == later.sha
    assert found.changes is not None
    assert found.changes.first_red == first.sha
    assert len(found.changes.commits) == 2


async def test_flaky_is_what_passed_and_failed_at_the_same_commit(world: World) -> None:
    world.build(world.commit("a.py"))
    red = world.build(world.commit("b.py"), failing())
    world.rerun(red, JobPlan(name="test"))
    world.rerun(red, JobPlan(name="test", conclusion="failure", log=failing()))

    [failure] = (await world.investigate()).failures

    assert failure.job.attempt == 3
    [evidence] = failure.flaky
    assert "passed and failed at the same commit" in evidence.says
    assert len(evidence.links) == 2


async def test_the_same_test_failing_at_an_unrelated_commit_shows_that_it_is_flaky(
    world: World,
) -> None:
    base = world.commit("a.py")
    world.build(base)
    other = world.commit("docs.md", branch="letters")
    world.build(other, failing(), branch="letters")
    mine = world.commit("b.py")
    world.build(mine, failing())

    [failure] = (await world.investigate()).failures

    assert [each.says for each in failure.flaky] == [
        f"{TEST} failed at the unrelated commit {other.sha[:12]} as well"
    ]


async def test_a_broken_base_does_not_make_a_test_flaky(world: World) -> None:
    world.build(world.commit("a.py"), failing())  # what both have in common failed already
    world.build(world.commit("docs.md", branch="letters"), failing(), branch="letters")
    world.build(world.commit("b.py"), failing())

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_another_test_failing_elsewhere_shows_nothing(world: World) -> None:
    world.build(world.commit("a.py"))
    world.build(
        world.commit("docs.md", branch="letters"), failing("test_letters"), branch="letters"
    )
    world.build(world.commit("b.py"), failing())

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_secrets_in_a_log_reach_nobody(world: World) -> None:
    tokens = f"token ghp_{'a1B2' * 9} password {SECRET} " + "x" * 280 + f" {SECRET}"
    world.build(world.commit("a.py"), failing(said=tokens))

    found = await world.investigate(None, SECRET)

    shown = json.dumps(shown_investigation(found), default=str)
    assert "[redacted]" in shown
    assert "ghp_a1B2" not in shown
    assert SECRET[:12] not in shown


async def test_a_log_that_is_gone_is_said_to_be(world: World) -> None:
    run = world.commit("a.py")
    plan = JobPlan(name="test", conclusion="failure", log=None)
    world.state.ci.run(world.repository, run.sha, jobs=[plan], by=world.anna)

    [failure] = (await world.investigate()).failures

    assert failure.analysis is None
    assert failure.unread


async def test_jobs_that_fail_for_one_reason_are_told_once(world: World) -> None:
    commit = world.commit("a.py")
    plans = [
        JobPlan(name=f"test ({version})", conclusion="failure", log=failing())
        for version in ("3.11", "3.12", "3.13")
    ]
    world.state.ci.run(world.repository, commit.sha, jobs=plans, by=world.anna)

    [failure] = (await world.investigate()).failures

    assert failure.job.name == "test (3.11)"
    assert failure.also_in == ("test (3.12)", "test (3.13)")


async def test_a_green_branch_has_nothing_to_explain(world: World) -> None:
    world.build(world.commit("a.py"))

    found = await world.investigate()

    assert found.failures == ()
    assert "No finished run" in str(shown_investigation(found)["says"])


async def test_a_newer_commit_on_the_branch_is_told(world: World) -> None:
    world.build(world.commit("a.py"))
    red = world.commit("b.py")
    world.build(red, failing())
    newer = world.commit("c.py")

    assert (await world.investigate(red.sha)).newer == newer.sha
    # Nothing has been built there yet: what failed before it is what is meant.
    from_branch = await world.investigate("main")
    assert (from_branch.commit.sha, from_branch.newer) == (red.sha, newer.sha)


async def test_a_commit_of_a_fork_is_called_one(world: World) -> None:
    fork = world.state.add_repository("mallory/platform")
    commit = world.commit("a.py", branch="feature")
    plan = JobPlan(name="test", conclusion="failure", log=failing())
    world.state.ci.run(
        world.repository, commit.sha, jobs=[plan], by=world.anna, branch="x", head_repository=fork
    )

    found = await world.investigate(commit.sha)

    assert found.from_fork == "mallory/platform"
    assert shown_investigation(found)["from_fork"] == "mallory/platform"


async def test_the_log_is_fetched_without_the_token_and_only_where_it_may_be(world: World) -> None:
    world.build(world.commit("a.py"), failing())

    await world.investigate()

    assert world.rig.log_host.downloads
    assert all("authorization" not in each.headers for each in world.rig.log_host.downloads)


async def test_the_tool_reads_with_the_permission_for_actions(world: World) -> None:
    [tool] = investigation_tools(world.client, Versions(world.client))

    assert (tool.name, tool.permission, tool.effect) == ("investigate", "actions:read", "read")
