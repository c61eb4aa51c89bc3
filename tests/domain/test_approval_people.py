"""Who may decide an approval and when, and what counts of what they said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from openloop.domain.approval import Approval, ApprovalState, Count, Vote, VoteKind
from openloop.domain.errors import AlreadyDecided, Expired, NotAnApprover, OwnEdit, OwnRequest
from openloop.domain.verdict import Demand, Escalation
from tests.domain.test_approval import (
    ANNA,
    BEN,
    HELD,
    LATER,
    MAINTAINERS,
    ONE_OF_SECURITY,
    OWNERS,
    PRIYA,
    SECURITY,
    TWO,
    approve,
    broken,
    demanding,
    voter,
)
from tests.make import NOON

BEFORE = NOON - timedelta(microseconds=1)
BOTH = Demand(
    rule="both",
    approvers=(SECURITY, MAINTAINERS),
    escalation=(
        Escalation(after_hours=8, approvers=(OWNERS, SECURITY)),
        Escalation(after_hours=1, approvers=(OWNERS,)),
    ),
)


# --- who -----------------------------------------------------------------------------------------


def test_everybody_is_named_once_in_the_order_of_the_demands() -> None:
    approval = demanding(TWO, BOTH, ONE_OF_SECURITY)
    assert approval.approvers == (MAINTAINERS, SECURITY)
    assert approval.references == (MAINTAINERS, SECURITY, OWNERS)
    assert demanding(TWO).references == (MAINTAINERS,)


def test_stages_of_all_demands_come_in_the_order_of_their_time_each_time_once() -> None:
    more = Demand(
        rule="more",
        approvers=(MAINTAINERS,),
        escalation=(Escalation(after_hours=8, approvers=("@eve", OWNERS)),),
    )
    assert demanding(BOTH, more).escalations() == [
        (NOON + timedelta(hours=1), (OWNERS,)),
        (NOON + timedelta(hours=8), (OWNERS, SECURITY, "@eve")),
    ]
    assert demanding(TWO).escalations() == []


def test_a_stage_that_is_due_adds_people_and_takes_none_away() -> None:
    at = [NOON + timedelta(hours=hours) for hours in (0, 4, 8)]
    assert [demanding(LATER).approvers_of(LATER, at=each) for each in at] == [
        (MAINTAINERS,),
        (MAINTAINERS, SECURITY),
        (MAINTAINERS, SECURITY, OWNERS),
    ]


def test_what_expires_before_the_next_stage_is_looked_at_then() -> None:
    soon = replace(demanding(LATER), expires_at=NOON + timedelta(hours=2))
    assert soon.next_look_at() == soon.expires_at


@pytest.mark.parametrize("solo", [False, True])
@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_whoever_asked_counts_where_nothing_excludes_them(
    *, solo: bool, excluded: bool, asked: bool
) -> None:
    demand = Demand(rule="r", approvers=(MAINTAINERS,), not_requester=excluded)
    approval = replace(demanding(demand), solo_mode=solo)
    person = replace(ANNA, is_requester=asked)
    counts = not asked or solo or not excluded
    assert approval.may_count(person, demand, at=NOON) is counts
    if counts:
        approval.check_voter(person, at=NOON)
    else:
        with pytest.raises(OwnRequest):
            approval.check_voter(person, at=NOON)


def test_one_demand_in_which_they_count_is_enough_to_be_heard() -> None:
    lenient = Demand(rule="s", approvers=(SECURITY,), not_requester=False)
    asked = replace(voter("anna", MAINTAINERS, SECURITY), is_requester=True)
    demanding(TWO, lenient).check_voter(asked, at=NOON)
    with pytest.raises(OwnRequest):
        demanding(TWO, ONE_OF_SECURITY).check_voter(asked, at=NOON)
    with pytest.raises(OwnRequest):
        demanding(TWO, lenient).check_voter(replace(ANNA, is_requester=True), at=NOON)


def test_who_they_are_comes_before_what_they_did() -> None:
    edited = replace(demanding(TWO), edited_by=ANNA.principal_id)
    with pytest.raises(NotAnApprover):
        edited.check_voter(replace(ANNA, is_active=False), at=NOON)
    with pytest.raises(OwnEdit):
        edited.check_voter(replace(ANNA, is_requester=True), at=NOON)
    assert not edited.may_count(ANNA, TWO, at=NOON)
    assert edited.may_count(BEN, TWO, at=NOON)


# --- when ----------------------------------------------------------------------------------------


def test_it_is_open_while_it_is_pending_and_in_time() -> None:
    approval = replace(HELD, expires_at=NOON)
    approval.check_open(at=BEFORE)
    with pytest.raises(Expired):
        approval.check_open(at=NOON)


@pytest.mark.parametrize("state", [each for each in ApprovalState if each != "pending"])
def test_nothing_else_is_open(state: ApprovalState) -> None:
    with pytest.raises(AlreadyDecided):
        replace(HELD, state=state).check_open(at=BEFORE)


def test_what_is_decided_is_told_as_decided_also_when_it_is_late() -> None:
    approval = replace(HELD, expires_at=NOON)
    approval.decide("approve", by=ANNA, at=BEFORE)
    with pytest.raises(AlreadyDecided):
        approval.decide("retry", by=ANNA, at=NOON + timedelta(days=1))


# --- what counts ---------------------------------------------------------------------------------


def test_votes_are_counted_demand_by_demand() -> None:
    both = voter("priya", MAINTAINERS, SECURITY)
    votes = [approve(ANNA), approve(both), approve(both), approve(BEN, round=2)]
    assert demanding(TWO, ONE_OF_SECURITY).count(votes, at=NOON) == (
        Count(demand=TWO, given=2),
        Count(demand=ONE_OF_SECURITY, given=1),
    )


@pytest.mark.parametrize(
    ("decision", "counts"),
    [
        ("approve", True),
        ("retry", True),
        ("deny", False),
        ("happened", False),
        ("break_glass", False),
    ],
)
def test_only_what_lets_a_call_run_is_an_approval(decision: VoteKind, *, counts: bool) -> None:
    vote = Vote(
        principal_id=ANNA.principal_id, decision=decision, round=1, via="slack", voted_at=NOON
    )
    (count,) = HELD.count([(vote, ANNA)], at=NOON)
    assert count.given == int(counts)
    assert HELD.is_carried([(vote, ANNA)], at=NOON) is counts


@pytest.mark.parametrize(("given", "met"), [(1, False), (2, True), (3, True)])
def test_a_quorum_is_as_many_as_it_says_or_more(given: int, *, met: bool) -> None:
    assert Count(demand=TWO, given=given).is_met is met


def test_a_glass_is_broken_by_an_owner_and_every_other_vote_stays_what_it_is() -> None:
    owner = replace(PRIYA, is_owner=True, references=frozenset[str]())
    approval = demanding(TWO, ONE_OF_SECURITY)
    assert approval.is_carried([approve(ANNA), broken(owner)], at=NOON)
    assert not approval.is_carried([approve(ANNA), approve(owner)], at=NOON)
    assert not approval.is_carried([approve(ANNA), approve(BEN)], at=NOON)


def test_an_iterator_of_votes_is_looked_at_whole() -> None:
    votes = iter([approve(ANNA), approve(BEN)])
    assert demanding(TWO).is_carried(votes, at=NOON)


def test_what_nobody_says_about_an_approval() -> None:
    said = {
        *("id", "run_id", "step_seq", "conversation_id", "tool", "permission", "arguments"),
        *("preconditions", "hash", "card", "requested_by", "demands", "solo_mode", "rule"),
        *("state", "asked_at", "expires_at"),
    }
    approval = Approval(**{name: getattr(HELD, name) for name in said})
    assert approval.may_edit
    assert (approval.round, approval.escalated) == (1, 0)
    assert (approval.parked, approval.reason, approval.told) == ("", "", ())
    person = replace(ANNA, references=frozenset())
    assert (person.is_active, person.is_requester, person.is_owner) == (True, False, False)
