"""What a decision makes of an approval, for every state and everybody who may click."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import get_args

import pytest

from openloop.domain.approval import AFTER, Approval, ApprovalState, Decision, Voter
from openloop.domain.errors import AlreadyDecided, Expired, NotAnApprover, OwnRequest
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId, new_id
from openloop.domain.surface import Actor, Card
from tests.make import NOON

DECISIONS: tuple[Decision, ...] = get_args(Decision)
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
    approvers=("@maintainers",),
    solo_mode=False,
    rule="writes are held",
    state=ApprovalState.PENDING,
    asked_at=NOON,
    expires_at=NOON + timedelta(hours=72),
)
ANNA = Voter(principal_id=PrincipalId(new_id()), name="anna", is_approver=True, is_requester=False)


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
    stranger = replace(ANNA, is_approver=False)
    with pytest.raises(NotAnApprover, match="Only @maintainers may decide this"):
        replace(HELD, state=state).decide(decision, by=stranger, at=NOON + timedelta(days=9))


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


def test_solo_mode_makes_nobody_an_approver() -> None:
    asked = replace(ANNA, is_requester=True, is_approver=False)
    with pytest.raises(NotAnApprover):
        replace(HELD, solo_mode=True).decide("approve", by=asked, at=NOON)


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
