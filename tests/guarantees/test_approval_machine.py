"""A state machine over policy, approvals and budget: whatever people do, the promises hold."""

from __future__ import annotations

from tests.guarantees.approval_machine import theatre

EXAMPLES, STEPS = 12, 10


def test_whatever_people_do_the_promises_hold(conninfo: str) -> None:
    with theatre(conninfo) as stage:
        stage.wander(examples=EXAMPLES, steps=STEPS)
