"""What a decision makes of an approval, for every state and everybody who may click."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import get_args

import pytest

from openloop.domain.approval import AFTER, Approval, ApprovalState, Decision, Vote, Voter
from openloop.domain.errors import AlreadyDecided, Expired, NotAnApprover, OwnEdit, OwnRequest
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId, new_id
from openloop.domain.surface import Actor, Card
from openloop.domain.verdict import Demand, Escalation
from tests.make import NOON

DECISIONS: tuple[Decision, ...] = get_args(Decision)
MAINTAINERS, SECURITY, OWNERS = "@maintainers", "@security", "@owners"
HELD = Approval(
    id=ApprovalId(new_id()),
    run_id=RunId(new_id()),
    step_seq=2,
    conversation_id=ConversationId(new_id()),
    tool="github__create_issue",
    permission="github.issues:write",
    arguments=b"{}",
    preconditions={},
    hash="0" * 64,
    card=Card(title="Open an issue"),
    requested_by=Actor(surface="slack", tenant="T0ACME", id="U0BEN"),
    demands=(Demand(rule="writes are held", approvers=(MAINTAINERS,)),),
    solo_mode=False,
    rule="writes are held",
    state=ApprovalState.PENDING,
    asked_at=NOON,
    expires_at=NOON + timedelta(hours=72),
)


def voter(name: str, *references: str) -> Voter:
    found = frozenset(references or (MAINTAINERS,))
    return Voter(principal_id=PrincipalId(new_id()), name=name, references=found, is_approver=True)


ANNA, BEN, PRIYA = voter("anna"), voter("ben"), voter("priya")


def approve(by: Voter, *, round: int = 1, at: datetime = NOON) -> tuple[Vote, Voter]:
    vote = Vote(
        principal_id=by.principal_id, decision="approve", round=round, via="slack", voted_at=at
    )
    return vote, by


def demanding(*demands: Demand) -> Approval:
    return replace(HELD, demands=demands)


# --- one decision --------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "decision"), list(product(ApprovalState, DECISIONS)))
def test_only_an_open_question_can_be_decided(state: ApprovalState, decision: Decision) -> None:
    approval = replace(HELD, state=state)
    after = AFTER.get((state, decision))
    if after is None:
        with pytest.raises(AlreadyDecided):
            approval.decide(decision, by=ANNA, at=NOON)
    else:
        assert approval.decide(decision, by=ANNA, at=NOON) is after
        assert state in (ApprovalState.PENDING, ApprovalState.UNKNOWN)


@pytest.mark.parametrize(("state", "decision"), list(product(ApprovalState, DECISIONS)))
def test_a_stranger_is_told_the_same_in_every_state(
    state: ApprovalState, decision: Decision
) -> None:
    stranger = replace(ANNA, references=frozenset())
    with pytest.raises(NotAnApprover, match="Only @maintainers may decide this"):
        replace(HELD, state=state).decide(decision, by=stranger, at=NOON + timedelta(days=9))


def test_a_person_who_left_is_a_stranger() -> None:
    with pytest.raises(NotAnApprover):
        HELD.decide("approve", by=replace(ANNA, is_active=False), at=NOON)


@pytest.mark.parametrize("solo", [False, True])
@pytest.mark.parametrize("decision", DECISIONS)
def test_whoever_asked_decides_in_solo_mode_only(decision: Decision, *, solo: bool) -> None:
    asked = replace(ANNA, is_requester=True)
    state = ApprovalState.PENDING if decision in ("approve", "deny") else ApprovalState.UNKNOWN
    approval = replace(HELD, state=state, solo_mode=solo)
    if solo:
        assert approval.decide(decision, by=asked, at=NOON) is AFTER[state, decision]
    else:
        with pytest.raises(OwnRequest):
            approval.decide(decision, by=asked, at=NOON)


def test_or_where_the_rule_says_so() -> None:
    asked = replace(ANNA, is_requester=True)
    demand = replace(HELD.demands[0], not_requester=False)
    after = demanding(demand).decide("approve", by=asked, at=NOON)
    assert after is ApprovalState.APPROVED


def test_solo_mode_makes_nobody_an_approver() -> None:
    asked = replace(ANNA, is_requester=True, references=frozenset())
    with pytest.raises(NotAnApprover):
        replace(HELD, solo_mode=True).decide("approve", by=asked, at=NOON)


@pytest.mark.parametrize("solo", [False, True])
@pytest.mark.parametrize("decision", DECISIONS)
def test_whoever_edited_last_decides_nothing(decision: Decision, *, solo: bool) -> None:
    state = ApprovalState.PENDING if decision in ("approve", "deny") else ApprovalState.UNKNOWN
    edited = replace(HELD, state=state, edited_by=ANNA.principal_id, solo_mode=solo)
    with pytest.raises(OwnEdit):
        edited.decide(decision, by=ANNA, at=NOON)
    assert edited.decide(decision, by=BEN, at=NOON) is AFTER[state, decision]


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_what_expires_at_noon_cannot_be_decided_at_noon(decision: Decision) -> None:
    approval = replace(HELD, expires_at=NOON)
    with pytest.raises(Expired):
        approval.decide(decision, by=ANNA, at=NOON)
    assert approval.decide(decision, by=ANNA, at=NOON - timedelta(microseconds=1))


@pytest.mark.parametrize("decision", ["retry", "happened"])
def test_what_is_unknown_can_be_said_at_any_time(decision: Decision) -> None:
    approval = replace(HELD, state=ApprovalState.UNKNOWN, expires_at=NOON)
    assert approval.decide(decision, by=ANNA, at=NOON + timedelta(days=90))


# --- quorums -------------------------------------------------------------------------------------

TWO = Demand(rule="two", approvers=(MAINTAINERS,), quorum=2)
ONE_OF_SECURITY = Demand(rule="security", approvers=(SECURITY,))


def test_two_different_people_are_a_quorum_of_two() -> None:
    approval = demanding(TWO)
    assert approval.decide("approve", by=ANNA, at=NOON) is ApprovalState.PENDING
    votes = [approve(ANNA)]
    assert approval.decide("approve", by=BEN, at=NOON, votes=votes) is ApprovalState.APPROVED


def test_one_person_is_not_however_often_they_vote() -> None:
    votes = [approve(ANNA), approve(ANNA)]
    after = demanding(TWO).decide("approve", by=ANNA, at=NOON, votes=votes)
    assert after is ApprovalState.PENDING


@pytest.mark.parametrize(
    "lost", [{"is_active": False}, {"references": frozenset[str]()}, {"is_requester": True}]
)
def test_a_vote_that_counts_no_more_is_none(lost: dict[str, object]) -> None:
    votes = [approve(replace(ANNA, **lost))]  # pyright: ignore[reportArgumentType]
    after = demanding(TWO).decide("approve", by=BEN, at=NOON, votes=votes)
    assert after is ApprovalState.PENDING


def test_a_vote_is_for_the_bytes_of_its_round() -> None:
    edited = replace(demanding(TWO), round=2)
    votes = [approve(ANNA, round=1)]
    assert edited.decide("approve", by=BEN, at=NOON, votes=votes) is ApprovalState.PENDING


def test_the_vote_that_an_editor_gave_before_is_none() -> None:
    edited = replace(demanding(TWO), edited_by=ANNA.principal_id)
    votes = [approve(ANNA)]
    assert edited.decide("approve", by=BEN, at=NOON, votes=votes) is ApprovalState.PENDING


def test_every_demand_has_to_be_met() -> None:
    approval = demanding(TWO, ONE_OF_SECURITY)
    votes = [approve(ANNA)]
    assert approval.decide("approve", by=BEN, at=NOON, votes=votes) is ApprovalState.PENDING
    both = voter("priya", MAINTAINERS, SECURITY)
    assert approval.decide("approve", by=both, at=NOON, votes=votes) is ApprovalState.APPROVED


def test_one_person_who_denies_is_enough() -> None:
    votes = [approve(ANNA)]
    after = demanding(TWO).decide("deny", by=BEN, at=NOON, votes=votes)
    assert after is ApprovalState.DENIED


def test_nothing_is_carried_that_nobody_has_to_approve() -> None:
    assert not demanding().is_carried([approve(ANNA)], at=NOON)


# --- escalation ----------------------------------------------------------------------------------

LATER = Demand(
    rule="later",
    approvers=(MAINTAINERS,),
    escalation=(
        Escalation(after_hours=4, approvers=(SECURITY,)),
        Escalation(after_hours=8, approvers=(OWNERS,)),
    ),
)


@pytest.mark.parametrize(
    ("who", "hours", "may"),
    [
        (MAINTAINERS, 0, True),
        (SECURITY, 3.99, False),
        (SECURITY, 4, True),
        (OWNERS, 7.99, False),
        (OWNERS, 8, True),
        (MAINTAINERS, 9, True),
    ],
)
def test_further_people_may_decide_once_it_is_their_turn(
    who: str, hours: float, *, may: bool
) -> None:
    person, at = voter("priya", who), NOON + timedelta(hours=hours)
    if may:
        assert demanding(LATER).decide("approve", by=person, at=at) is ApprovalState.APPROVED
    else:
        with pytest.raises(NotAnApprover):
            demanding(LATER).decide("approve", by=person, at=at)


def test_the_next_look_is_at_the_next_stage_or_when_it_expires() -> None:
    approval = demanding(LATER)
    looks = [replace(approval, escalated=stage).next_look_at() for stage in (0, 1, 2)]
    assert looks == [NOON + timedelta(hours=hours) for hours in (4, 8, 72)]


# --- breaking the glass --------------------------------------------------------------------------


def broken(by: Voter, *, round: int = 1) -> tuple[Vote, Voter]:
    vote, _ = approve(by, round=round)
    return replace(vote, decision="break_glass"), by


def test_a_broken_glass_carries_without_a_quorum() -> None:
    owner = replace(PRIYA, is_owner=True, references=frozenset())
    assert demanding(TWO).is_carried([broken(owner)], at=NOON)


@pytest.mark.parametrize("lost", [{"is_owner": False}, {"is_active": False}])
def test_while_its_owner_is_one(lost: dict[str, object]) -> None:
    owner = replace(PRIYA, **{"is_owner": True, **lost})  # pyright: ignore[reportArgumentType]
    assert not demanding(TWO).is_carried([broken(owner)], at=NOON)


def test_and_for_an_hour() -> None:
    """Also where it is tried again later: then as many have to agree as for any other call."""
    owner = replace(PRIYA, is_owner=True, references=frozenset())
    vote, by = broken(owner)
    for late, carried in ((timedelta(minutes=59), True), (timedelta(hours=1), False)):
        at = vote.voted_at + late
        assert demanding(TWO).is_carried([(vote, by)], at=at) is carried


def test_and_for_the_bytes_of_its_round() -> None:
    owner = replace(PRIYA, is_owner=True)
    assert not replace(demanding(TWO), round=2).is_carried([broken(owner)], at=NOON)
