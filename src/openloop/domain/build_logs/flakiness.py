"""Is a failure flaky? Only where it is shown: nothing is guessed from how an error reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt at a job ended; `failed_tests` as far as its log names them."""

    commit: str
    job: str
    attempt: int
    has_passed: bool
    link: str
    failed_tests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that shows a failure to be flaky, with the places where it can be seen."""

    says: str
    links: tuple[str, ...]


def evidence_of(
    failure: Outcome, others: Sequence[Outcome], *, unrelated: Collection[str]
) -> tuple[Evidence, ...]:
    """What shows that a failure comes and goes by itself; empty where nothing does.

    Whoever asks gives outcomes only that can be compared, of builds that no outsider caused.

    There are two such things: the same job passed and failed at the same commit; the same test
    failed at a commit of `unrelated`. A commit is unrelated where neither has the other's changes
    and what they have in common did not fail: else one broken change would look like chance.
    """
    return (*_passed_as_well(failure, others), *_failed_elsewhere(failure, others, unrelated))


def _passed_as_well(failure: Outcome, others: Sequence[Outcome]) -> Sequence[Evidence]:
    passed = [
        other
        for other in others
        if other.has_passed and (other.commit, other.job) == (failure.commit, failure.job)
    ]
    if not passed:
        return ()
    says = f"{failure.job!r} has passed and failed at the same commit {failure.commit[:12]}"
    return (Evidence(says=says, links=(failure.link, passed[0].link)),)


def _failed_elsewhere(
    failure: Outcome, others: Sequence[Outcome], unrelated: Collection[str]
) -> Sequence[Evidence]:
    found: list[Evidence] = []
    for other in others:
        same = failure.failed_tests & other.failed_tests
        if other.has_passed or other.commit == failure.commit or other.commit not in unrelated:
            continue
        if same:
            says = f"{min(same)} failed at the unrelated commit {other.commit[:12]} as well"
            found.append(Evidence(says=says, links=(failure.link, other.link)))
    return found
