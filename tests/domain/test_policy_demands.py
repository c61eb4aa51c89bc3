"""Who decides a held call: every rule that matches, and the workspace's on top."""

from __future__ import annotations

from typing import Any

import pytest

from openloop.domain.policy import Allow, Call, Deny, Hold
from openloop.domain.verdict import Demand
from tests import make
from tests.domain.judging import READ, WORKSPACE, WRITE, agent, judge


def rule(**changes: Any) -> dict[str, Any]:
    """A rule for writing issues."""
    return {"match": {"permission": "github.issues:write"}, "approvers": ["@anna"], **changes}


def held(manifest: Any, *, workspace: Any = WORKSPACE, call: Call = WRITE) -> Hold:
    verdict = judge(call, manifest, workspace)
    assert isinstance(verdict, Hold), verdict
    return verdict


def test_every_rule_that_matches_adds_its_demand_and_takes_the_place_of_the_plain_one() -> None:
    hold = held(
        agent("issues:write", rules=[rule(quorum=1), rule(approvers=["@maintainers"], quorum=2)])
    )
    assert [(demand.rule, demand.approvers, demand.quorum) for demand in hold.demands] == [
        ("spec.approvals.rules[0]", ("@anna",), 1),
        ("spec.approvals.rules[1]", ("@maintainers",), 2),
    ]


def test_a_held_call_that_no_rule_matches_is_decided_by_the_plain_approvers() -> None:
    other = {"permission": "github.pulls:write"}
    hold = held(agent("issues:write", rules=[rule(match=other)]))
    assert hold.demands == (
        Demand(rule="spec.approvals.approvers", approvers=("@maintainers",), quorum=1),
    )
    assert (hold.expires_hours, hold.may_edit) == (72, False)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"repos": ["acme/platform"]}, True),
        ({"repos": ["ACME/Platform"]}, True),
        ({"repos": ["acme/docs"]}, False),
        ({"effect": "write"}, True),
        ({"effect": "destroy"}, False),
        ({"repos": ["acme/platform"], "effect": "write"}, True),
        ({"channels": ["#dev"]}, False),
    ],
)
def test_all_that_a_rule_names_has_to_fit(match: dict[str, Any], fits: bool) -> None:  # noqa: FBT001
    hold = held(
        agent("issues:write", rules=[rule(match={"permission": "github.issues:write", **match})])
    )
    assert (hold.demands[0].rule == "spec.approvals.rules[0]") is fits


def test_the_shortest_time_counts_and_editing_needs_every_rule() -> None:
    rules = [rule(expires_hours=9, may_edit=True), rule(expires_hours=4, may_edit=True)]
    assert held(agent("issues:write", rules=rules)).expires_hours == 4
    assert held(agent("issues:write", rules=rules)).may_edit
    rules[0]["may_edit"] = False
    assert not held(agent("issues:write", rules=rules)).may_edit


def test_who_asked_may_not_decide_unless_a_rule_says_so() -> None:
    assert held(agent("issues:write")).demands[0].not_requester
    assert held(agent("issues:write", rules=[rule()])).demands[0].not_requester
    [demand] = held(agent("issues:write", rules=[rule(not_requester=False)])).demands
    assert not demand.not_requester


def test_an_escalation_is_part_of_its_demand() -> None:
    steps = [{"after_hours": 2, "approvers": ["@maintainers"]}]
    [demand] = held(agent("issues:write", rules=[rule(escalation=steps)])).demands
    assert [(step.after_hours, step.approvers) for step in demand.escalation] == [
        (2, ("@maintainers",))
    ]


def test_the_workspace_can_only_add_to_what_an_agent_asks_for() -> None:
    above = make.workspace_manifest(
        {"policy": {"rules": [rule(approvers=["@priya"], expires_hours=5, may_edit=True)]}}
    )
    hold = held(agent("issues:write"), workspace=above)
    assert [demand.approvers for demand in hold.demands] == [("@maintainers",), ("@priya",)]
    assert hold.demands[1].rule == "workspace spec.policy.rules[0]"
    assert (hold.expires_hours, hold.may_edit) == (5, False)
    own = held(agent("issues:write", rules=[rule()]), workspace=above)
    assert [demand.approvers for demand in own.demands] == [("@anna",), ("@priya",)]


def test_the_workspace_can_hold_what_an_agent_lets_pass() -> None:
    above = make.workspace_manifest({"policy": {"require_for": ["github.issues:write"]}})
    allow = [{"permission": "github.issues:write", "repos": ["acme/platform"]}]
    passing = agent("issues:write", allow=allow)
    assert isinstance(judge(WRITE, passing, WORKSPACE), Allow)
    assert held(passing, workspace=above).rule.startswith("workspace spec.policy.require_for")


def test_what_is_held_and_nobody_may_decide_is_denied() -> None:
    above = make.workspace_manifest({"policy": {"require_for": ["github.issues:read"]}})
    verdict = judge(READ, agent("issues:read", approvers=[]), above)
    assert isinstance(verdict, Deny)
    assert "nobody may decide" in verdict.reason
