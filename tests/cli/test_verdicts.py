"""`openloop agents explain`: what is asked of the API, and what is shown of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.cli.conftest import FakeServer, OpenLoop

WHERE = "GET /api/v1/agents/dev-platform/explain"
HELD: dict[str, Any] = {
    "agent": "dev-platform",
    "revision": 4,
    "call": "github.issues:write",
    "effect": "write",
    "resource": "acme/platform",
    "person": "ben",
    "place": "internal",
    "verdict": "hold",
    "rule": "spec.approvals.require_for: github.issues:write",
    "written": {
        "manifest": "Agent dev-platform",
        "revision": 4,
        "line": 16,
        "text": 'require_for: ["github.issues:write"]',
    },
    "reason": "",
    "demands": [
        {
            "demand": {
                "rule": "spec.approvals.approvers",
                "approvers": ["@maintainers"],
                "quorum": 1,
                "not_requester": True,
                "escalation": [],
            },
            "people": ["anna", "priya"],
            "written": None,
        }
    ],
    "expires_hours": 72,
    "may_edit": False,
    "assumes": ["ben is a full member, as the platform says"],
}


def test_a_held_call_is_explained(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.answer(WHERE, HELD)
    command = "agents explain dev-platform --call github.issues:write --resource acme/platform"
    result = openloop(*command.split(), "--as", "ben", "--place", "#dev-platform")

    assert result.status == 0, result.err
    [asked] = connected.asked
    assert parse_qs(urlsplit(asked.path).query) == {
        "call": ["github.issues:write"],
        "resource": ["acme/platform"],
        "as": ["ben"],
        "place": ["#dev-platform"],
    }
    shown = result.out
    assert "held for an approval" in shown
    assert "Agent dev-platform, revision 4, line 16" in shown
    assert "1 of @maintainers (anna, priya), not whoever asked [spec.approvals.approvers]" in shown


def test_a_rule_that_is_written_nowhere_says_so(connected: FakeServer, openloop: OpenLoop) -> None:
    denied = {**HELD, "verdict": "deny", "rule": "rights: requesters", "written": None}
    connected.answer(WHERE, {**denied, "demands": [], "reason": "No.", "expires_hours": None})
    result = openloop("agents", "explain", "dev-platform", "--call", "github.issues:write")
    assert "denied" in result.out
    assert "nowhere" in result.out


def test_json_is_the_answer_as_it_is(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.answer(WHERE, HELD)
    command = "agents explain dev-platform --call github.issues:write -o json"
    assert openloop(*command.split()).json == HELD
