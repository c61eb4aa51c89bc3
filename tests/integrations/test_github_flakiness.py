"""Flaky is said with evidence only, and of nothing that an outsider can cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.rigs.github import JobPlan
from tests.integrations.red_builds import TEST, World, failing, log, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


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


async def test_a_merge_that_fails_where_its_branch_passes_is_not_flaky(world: World) -> None:
    world.build(world.commit("a.py"))
    mine = world.commit("b.py", branch="letters")
    world.build(mine, branch="letters")
    world.build(mine, failing(), branch="letters", event="pull_request")

    [failure] = (await world.investigate("letters")).failures

    assert failure.run.event == "pull_request"
    assert failure.flaky == ()


async def test_a_branch_that_fails_where_its_merge_passes_is_not_flaky(world: World) -> None:
    world.build(world.commit("a.py"))
    mine = world.commit("b.py", branch="letters")
    world.build(mine, branch="letters", event="pull_request")
    world.build(mine, failing(), branch="letters")

    [failure] = (await world.investigate("letters")).failures

    assert failure.run.event == "push"
    assert failure.flaky == ()


async def test_two_merges_of_one_commit_show_nothing(world: World) -> None:
    mine = world.commit("b.py", branch="letters")
    world.build(mine, branch="letters", event="pull_request")
    world.build(mine, failing(), branch="letters", event="pull_request")

    [failure] = (await world.investigate("letters")).failures

    assert failure.flaky == ()


async def test_attempts_at_one_merge_do(world: World) -> None:
    mine = world.commit("b.py", branch="letters")
    red = world.build(mine, failing(), branch="letters", event="pull_request")
    world.rerun(red, JobPlan(name="test"))
    world.rerun(red, JobPlan(name="test", conclusion="failure", log=failing()))

    [failure] = (await world.investigate("letters")).failures

    assert ["same commit" in each.says for each in failure.flaky] == [True]


async def test_of_two_builds_of_one_push_the_outcomes_count(world: World) -> None:
    mine = world.commit("b.py")
    world.build(mine)
    world.build(mine, failing())

    [failure] = (await world.investigate()).failures

    assert ["same commit" in each.says for each in failure.flaky] == [True]


async def test_a_push_of_the_same_commit_to_another_branch_shows_nothing(world: World) -> None:
    mine = world.commit("b.py")
    world.build(mine, branch="release")  # where its job may do something else
    world.build(mine, failing())

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_jobs_of_one_name_are_not_taken_for_attempts_at_one(world: World) -> None:
    both = (JobPlan(name="test"), JobPlan(name="test", conclusion="failure", log=failing()))
    world.run(world.commit("b.py"), *both)

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_a_fork_cannot_make_the_evidence(world: World) -> None:
    world.build(world.commit("a.py"))
    theirs = world.commit("docs.md", branch="theirs")
    for event in ("pull_request", "push"):
        world.build(theirs, failing(), branch="theirs", event=event, fork=world.fork())
    mine = world.commit("b.py")
    world.build(mine, event="push", fork=world.fork())  # the same commit, and green
    world.build(mine, failing())

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_a_fork_cannot_make_a_broken_base_look_sound(world: World) -> None:
    base = world.commit("a.py")
    world.build(base, fork=world.fork())
    other = world.commit("docs.md", branch="letters")
    world.build(other, failing(), branch="letters")
    world.build(world.commit("b.py"), failing())

    [failure] = (await world.investigate()).failures

    assert failure.flaky == ()


async def test_a_merge_with_what_is_broken_here_shows_nothing(world: World) -> None:
    world.build(world.commit("a.py"))
    other = world.commit("docs.md", branch="letters")
    world.build(world.commit("b.py"), failing())
    world.build(other, failing(), branch="letters", event="pull_request")  # merged with b.py

    [failure] = (await world.investigate()).failures
    [elsewhere] = (await world.investigate("letters")).failures

    assert failure.flaky == ()
    assert elsewhere.flaky == ()


async def test_tests_whose_names_are_not_shown_are_not_the_same(world: World) -> None:
    names = ("a-value-of-ours-1", "a-value-of-ours-2")
    world.build(world.commit("a.py"))
    for name, branch in zip(names, ("letters", "main"), strict=True):
        world.build(world.commit(f"{branch}.py", branch=branch), _said(name), branch=branch)

    [failure] = (await world.investigate(None, *names)).failures

    assert failure.analysis is not None
    assert failure.analysis.cause is not None
    assert "[redacted]" in (failure.analysis.cause.subject or "")
    assert failure.flaky == ()


def _said(secret: str) -> bytes:
    return log(f"FAILED tests/test_vat.py::test_login[{secret}] - assert 1 == 2", "1 failed")
