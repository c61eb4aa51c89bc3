"""Looking into a red build: from GitHub's lists and logs to what can be said of it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.redaction import Redactor
from openloop.domain.tool import CallContext
from openloop.integrations.github.errors import NotFound
from openloop.integrations.github.investigation import MOST_RUNS
from openloop.integrations.github.investigation_logs import Logs, pieces
from openloop.integrations.github.investigation_render import shown_investigation
from openloop.integrations.github.investigation_tool import investigation_tools
from openloop.integrations.github.logs import LogKeeper
from openloop.integrations.github.versions import Versions
from openloop.testing.rigs.github import JobPlan, ci_shapes
from tests.integrations.red_builds import NOON, REPO, TEST, World, failing, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "s3cret-of-the-registry-81c5"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
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


async def test_secrets_in_a_log_reach_nobody(world: World) -> None:
    tokens = f"token ghp_{'a1B2' * 9} password {SECRET} " + "x" * 280 + f" {SECRET}"
    world.build(world.commit("a.py"), failing(said=tokens))

    found = await world.investigate(None, SECRET)

    shown = json.dumps(shown_investigation(found), default=str)
    assert "[redacted]" in shown
    assert "ghp_a1B2" not in shown
    assert SECRET[:12] not in shown


PASSPHRASE = "correct horse battery staple of the registry"


async def test_what_the_process_keeps_secret_is_taken_out_before_anything_is_cut(
    world: World,
) -> None:
    said = "E       AssertionError: " + "word " * 52 + PASSPHRASE  # what is shown ends within it
    world.build(world.commit("a.py"), failing(said=said))
    [tool] = investigation_tools(world.client, Versions(world.client))
    context = CallContext(
        key="run:1", intended_at=NOON, redactor=Redactor([PASSPHRASE, "another-known-value"])
    )

    result = await tool.call({"repo": str(REPO)}, context)

    told = json.dumps(result.content, default=str)
    assert "word word" in told
    assert "correct" not in told


def test_of_a_line_that_a_gap_cuts_nothing_is_read() -> None:
    keeper = LogKeeper(beginning_bytes=30, ending_bytes=60)
    whole = b"".join(
        b"fatal: %d gave s3cret-%d-of-the-registry\n" % (each, each) for each in range(20)
    )
    for begin in range(0, len(whole), 7):
        keeper.take(whole[begin : begin + 7])
    log = keeper.log()

    read = b"".join(pieces(log))

    assert not log.is_whole
    assert read.count(b"\n") == whole.count(b"\n")
    kept = [line for line in read.split(b"\n") if line]
    assert kept
    assert set(kept) < set(whole.split(b"\n"))


async def test_a_log_that_is_gone_is_said_to_be(world: World) -> None:
    world.run(world.commit("a.py"), JobPlan(name="test", conclusion="failure", log=None))

    [failure] = (await world.investigate()).failures

    assert failure.analysis is None
    assert failure.unread


def archive(**logs: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, raw in logs.items():
            opened.writestr(name.replace("__", "/") + ".txt", raw)
    return written.getvalue()


async def test_a_log_that_is_gone_is_read_out_of_the_archive_of_its_run(world: World) -> None:
    plan = JobPlan(name="build / test (3.11)", conclusion="failure", log=None)
    run = world.run(world.commit("a.py"), plan, JobPlan(name="lint", log=b"fine\n"))
    run.archive = archive(
        **{
            "0_lint": b"fatal: of another job\n",
            "1_build  test (3.11)": failing(),
            "build  test (3.11)__2_test (3.11)": b"fatal: of one step\n",
        }
    )

    [failure] = (await world.investigate()).failures

    assert failure.analysis is not None
    assert failure.analysis.cause is not None
    assert failure.analysis.cause.subject == TEST


async def test_where_two_logs_of_an_archive_may_be_the_one_none_is_read(world: World) -> None:
    run = world.run(world.commit("a.py"), JobPlan(name="a/b", conclusion="failure", log=None))
    run.archive = archive(**{"0_ab": failing(), "1_a b": failing()})

    [failure] = (await world.investigate()).failures

    assert failure.analysis is None
    assert "2 of the archive" in failure.unread


async def test_nor_where_two_jobs_may_be_the_one_of_a_log(world: World) -> None:
    plans = [JobPlan(name=name, conclusion="failure", log=None) for name in ("a/b", "a:b")]
    run = world.run(world.commit("a.py"), *plans)
    run.archive = archive(**{"0_a _ b": failing(), "1_a _ b (1)": failing("test_other")})

    failures = (await world.investigate()).failures

    assert [each.analysis for each in failures] == [None, None]


async def test_an_archive_that_is_not_opened_is_no_log(world: World) -> None:
    run = world.run(world.commit("a.py"), JobPlan(name="test", conclusion="failure", log=None))
    run.archive = archive(**{"0_test": b"\0" * (8 * 2**20)})

    [failure] = (await world.investigate()).failures

    assert failure.analysis is None
    assert "more than we unpack" in failure.unread


async def test_the_archive_is_not_asked_for_an_earlier_attempt(world: World) -> None:
    run = world.run(world.commit("a.py"), JobPlan(name="test", conclusion="failure", log=None))
    run.archive = archive(**{"0_test": failing()})
    [job] = await world.client.failed_jobs(REPO, run.id)
    [listed] = (await world.client.list_action_runs(REPO)).items
    logs = Logs(world.client, REPO, Redactor())
    assert (await logs.analysis_wherever(listed, job)).cause is not None

    with pytest.raises(NotFound):
        await logs.analysis_wherever(replace(listed, attempt=2), job)


async def test_a_run_that_failed_without_a_job_is_told(world: World) -> None:
    run = world.run(world.commit("a.py"))
    run.conclusion = "failure"

    found = await world.investigate()

    assert (found.failures, [each.id for each in found.without_job]) == ((), [run.id])
    assert "none of its jobs did" in str(shown_investigation(found)["says"])


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


async def test_of_a_commit_that_failed_everywhere_only_so_many_runs_are_looked_into(
    world: World,
) -> None:
    commit = world.commit("a.py")
    for _ in range(MOST_RUNS + 2):
        world.run(commit).conclusion = "failure"

    assert len((await world.investigate()).without_job) == MOST_RUNS


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
    fork = world.fork()
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


# --- strangers who call their branch as ours is called --------------------------------------------


async def test_why_is_main_red_is_not_answered_with_the_main_of_a_fork(world: World) -> None:
    green = world.commit("a.py")
    world.build(green)
    red = world.commit("b.py")
    world.build(red, failing())
    theirs = world.commit("c.py", branch="theirs")
    for _ in range(3):
        world.build(theirs, failing("test_theirs"), event="pull_request", fork=world.fork())
    newer = world.commit("d.py")  # nothing has been built there yet

    found = await world.investigate("main")

    assert (found.commit.sha, found.newer, found.from_fork) == (red.sha, newer.sha, None)
    assert found.changes is not None
    assert found.changes.since == green.sha


async def test_the_main_of_a_fork_alone_does_not_make_ours_red(world: World) -> None:
    tip = world.commit("a.py")
    theirs = world.commit("c.py", branch="theirs")
    world.build(theirs, failing("test_theirs"), event="pull_request", fork=world.fork())
    world.build(tip, failing("test_theirs"), event="pull_request", fork=world.fork())

    found = await world.investigate()

    assert (found.commit.sha, found.failures) == (tip.sha, ())


async def test_a_fork_that_is_gone_is_a_fork(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ci_shapes.actions_run

    def without_head(*which: Any) -> dict[str, Any]:
        return shape(*which) | {"head_repository": None}

    tip = world.commit("a.py")
    world.build(tip, failing(), event="pull_request", fork=world.fork())
    monkeypatch.setattr(ci_shapes, "actions_run", without_head)

    assert (await world.investigate()).failures == ()
    assert (await world.investigate(tip.sha)).from_fork == "one that is gone"


async def test_what_a_fork_built_of_its_main_is_not_the_last_green_commit(world: World) -> None:
    green = world.commit("a.py")
    world.build(green)
    first = world.commit("b.py")
    world.build(first, failing())
    theirs = world.commit("c.py", branch="theirs")
    world.build(theirs, event="pull_request", fork=world.fork())
    red = world.commit("d.py")
    world.build(red, failing())

    changes = (await world.investigate()).changes

    assert changes is not None
    assert (changes.since, changes.first_red) == (green.sha, first.sha)


async def test_nor_is_what_was_built_to_merge_main_elsewhere(world: World) -> None:
    green = world.commit("a.py")
    world.build(green)
    between = world.commit("b.py")
    world.build(between, event="pull_request")  # main into a release
    red = world.commit("c.py")
    world.build(red, failing())
    world.build(red, failing("test_release"), event="pull_request")

    found = await world.investigate()

    assert found.changes is not None
    assert found.changes.since == green.sha
    assert [each.run.event for each in found.failures] == ["push"]


async def test_the_main_of_a_fork_has_a_history_of_its_own(world: World) -> None:
    fork = world.fork()
    world.build(world.commit("a.py"))  # green, and ours
    before = world.commit("b.py", branch="theirs")
    world.build(before, event="pull_request", fork=fork)
    another = world.state.add_repository("anna/platform")
    world.build(world.commit("d.py", branch="others"), event="pull_request", fork=another)
    theirs = world.commit("c.py", branch="theirs")
    world.build(theirs, failing(), event="pull_request", fork=fork)

    found = await world.investigate(theirs.sha)

    assert found.from_fork == "mallory/platform"
    assert found.changes is not None
    assert found.changes.since == before.sha


async def test_a_commit_of_ours_is_not_called_a_forks_because_one_built_it_too(
    world: World,
) -> None:
    tip = world.commit("a.py")
    world.build(tip, failing())
    world.build(tip, failing("test_theirs"), event="pull_request", fork=world.fork())

    found = await world.investigate(tip.sha)

    assert found.from_fork is None
    assert [each.also_in for each in found.failures] == [()]
    assert len(found.runs) == 1


async def test_many_runs_of_a_fork_do_not_hide_what_failed(world: World) -> None:
    world.build(world.commit("a.py"))
    red = world.commit("b.py")
    world.build(red, failing())
    theirs, fork = world.commit("c.py", branch="theirs"), world.fork()
    for _ in range(130):  # more than a page
        world.build(theirs, failing(), event="pull_request", fork=fork)
    world.commit("d.py")

    assert (await world.investigate()).commit.sha == red.sha


async def test_a_branch_that_is_built_for_its_pull_request_alone_is_explained(
    world: World,
) -> None:
    change = world.commit("a.py", branch="letters")
    world.build(change, failing(), branch="letters", event="pull_request")

    [failure] = (await world.investigate("letters")).failures

    assert failure.run.event == "pull_request"
