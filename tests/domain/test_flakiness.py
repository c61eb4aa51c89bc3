"""A failure is flaky where two outcomes show it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

from openloop.domain.build_logs.flakiness import Outcome, evidence_of

FAILED = Outcome(
    commit="a" * 40,
    job="test",
    attempt=1,
    has_passed=False,
    link="https://git.test/1",
    failed_tests=frozenset({"test_vat"}),
)
PASSED = replace(
    FAILED, attempt=2, has_passed=True, link="https://git.test/2", failed_tests=frozenset()
)
ELSEWHERE = replace(FAILED, commit="b" * 40, link="https://git.test/3")
UNRELATED = {ELSEWHERE.commit}


def test_the_same_job_at_the_same_commit_passed_as_well() -> None:
    [evidence] = evidence_of(FAILED, [PASSED], unrelated=())

    assert evidence.links == (FAILED.link, PASSED.link)


def test_another_job_or_another_commit_that_passed_shows_nothing() -> None:
    others = [replace(PASSED, job="lint"), replace(PASSED, commit="c" * 40)]

    assert evidence_of(FAILED, others, unrelated=UNRELATED) == ()


def test_the_same_test_failed_at_an_unrelated_commit() -> None:
    [evidence] = evidence_of(FAILED, [ELSEWHERE], unrelated=UNRELATED)

    assert evidence.says.startswith("test_vat failed at the unrelated commit bbbbbbbbbbbb")


def test_a_related_commit_another_test_or_no_test_shows_nothing() -> None:
    other_test = replace(ELSEWHERE, failed_tests=frozenset({"test_other"}))
    no_test = replace(ELSEWHERE, failed_tests=frozenset())
    same_commit = replace(ELSEWHERE, commit=FAILED.commit)

    assert evidence_of(FAILED, [ELSEWHERE], unrelated=()) == ()
    assert evidence_of(FAILED, [other_test, no_test], unrelated=UNRELATED) == ()
    assert evidence_of(FAILED, [same_commit], unrelated={FAILED.commit}) == ()
