"""A held call judged again: by the rules of now, with its own bytes or with those of an edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from openloop.actions.configuration import Governing
from openloop.actions.judged import Changed, Held
from openloop.domain.approval import Approval, ApprovalState
from openloop.domain.ids import ApprovalId, ConversationId, RunId, new_id
from openloop.domain.model import ToolCall
from openloop.runtime import gate
from tests import make
from tests.runtime.test_gate import CONVERSATION, FACTS, REGISTRY, governing, issue, judge

NOTHING: dict[str, Any] = {"tools": [], "approvals": {}}
ALLOWED: dict[str, Any] = {
    "approvals": {
        "approvers": ["@maintainers"],
        "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
    }
}
TWO: dict[str, Any] = {
    "approvals": {
        "approvers": ["@maintainers"],
        "rules": [
            {
                "match": {"permission": "github.issues:write"},
                "approvers": ["@maintainers"],
                "quorum": 2,
                "may_edit": True,
            }
        ],
    }
}


def held(by: Governing | None = None, reason: str = "I will open it.") -> Approval:
    """An approval as it is written for a call that is held."""
    [judged] = judge(issue(), by=by, reason=reason)
    assert isinstance(judged, Held)
    return Approval(
        id=ApprovalId(new_id()),
        run_id=RunId(new_id()),
        step_seq=judged.seq,
        conversation_id=ConversationId(new_id()),
        tool=judged.call.name,
        permission=judged.permission,
        arguments=judged.arguments,
        preconditions=judged.preconditions,
        hash=judged.hash,
        card=judged.card,
        requested_by=make.actor("ben"),
        demands=judged.demands,
        may_edit=judged.may_edit,
        solo_mode=judged.solo_mode,
        rule=judged.rule,
        state=ApprovalState.PENDING,
        asked_at=make.NOON,
        expires_at=make.NOON + timedelta(hours=judged.expires_hours),
    )


def recheck(approval: Approval, by: Governing | None = None) -> Changed | None:
    return gate.recheck(REGISTRY, by or governing(), CONVERSATION, approval, facts=FACTS)


def edited(approval: Approval, by: Governing | None = None, **arguments: Any) -> Held | str:
    given = {**orjson.loads(approval.arguments), **arguments}
    return gate.edited(REGISTRY, by or governing(), CONVERSATION, approval, given, facts=FACTS)


# --- the same bytes ------------------------------------------------------------------------------


def test_what_stands_as_it_was_asked_has_not_changed() -> None:
    assert recheck(held()) is None
    assert recheck(held(governing(TWO)), governing(TWO)) is None


def test_nothing_holds_what_a_rule_lets_pass_by_now() -> None:
    assert recheck(held(), governing(ALLOWED)) is None
    alone = governing(ALLOWED, workspace={"solo_mode": True})
    assert recheck(held(governing(TWO)), alone) is None


def test_other_bytes_than_those_that_were_asked_are_told_at_once() -> None:
    others: list[dict[str, Any]] = [
        {"arguments": b'{"repo":"acme/platform","title":"Another"}'},
        {"preconditions": {}},
        {"hash": "0" * 64},
    ]
    for changes in others:
        found = recheck(replace(held(), **changes))
        assert found == Changed(reason="the stored bytes are not those that were approved")


def test_what_is_denied_by_now_says_by_which_rule_and_is_not_asked_anew() -> None:
    found = recheck(held(), governing(NOTHING))
    assert found == Changed(reason="it is not permitted any more (spec.tools: not granted)")


def test_a_tool_that_is_gone_or_takes_other_arguments_says_so() -> None:
    writes, reads = REGISTRY.toolsets["github"].tools[:2]
    gone = gate.recheck(make.registry_of(reads), governing(), CONVERSATION, held(), facts=FACTS)
    assert gone == Changed(reason="the tool is not there any more")
    narrow = {"type": "object", "properties": {"repo": {"type": "string"}}}
    other = gate.recheck(
        make.registry_of(replace(writes, parameters=narrow)),
        governing(),
        CONVERSATION,
        held(),
        facts=FACTS,
    )
    assert other is not None
    assert other.anew is None
    assert other.reason.startswith("the tool does not take these arguments: ")


def test_other_approvers_are_a_reason_to_ask_anew() -> None:
    approval = held()
    found = recheck(approval, governing(TWO))
    assert found is not None
    assert found.reason
    assert found.anew is not None
    assert found.anew.hash != approval.hash
    assert found.anew.arguments == approval.arguments
    assert [demand.quorum for demand in found.anew.demands] == [2]
    assert found.anew.seq == approval.step_seq
    assert found.anew.call == ToolCall(id="", name=approval.tool, arguments="")
    assert found.anew.card.reason == approval.card.reason
    assert found.anew.may_edit


# --- others --------------------------------------------------------------------------------------


def test_an_edit_is_held_by_the_rules_of_now() -> None:
    approval = held(governing(TWO))
    found = edited(approval, governing(TWO), title="Another")
    assert isinstance(found, Held)
    assert orjson.loads(found.arguments)["title"] == "Another"
    assert found.hash != approval.hash
    assert found.demands == approval.demands


def test_what_was_held_stays_held_where_a_rule_would_let_it_pass() -> None:
    approval = held(governing(TWO))
    found = edited(approval, governing(ALLOWED), title="Another")
    assert isinstance(found, Held)
    assert (found.rule, found.demands) == (approval.rule, approval.demands)
    assert found.expires_hours == approval.preconditions["expires_hours"]
    assert found.may_edit
    assert not approval.solo_mode


def test_an_edit_that_no_tool_takes_or_no_rule_permits_is_none() -> None:
    approval = held()
    wrong: list[dict[str, Any]] = [{"title": 1}, {"x" * 5000: 1}]
    for arguments in wrong:
        found = edited(approval, **arguments)
        assert isinstance(found, str)
        assert found.startswith("the tool does not take these arguments: ")
        assert len(found) < 600
    elsewhere = edited(approval, repo="acme/secret")
    assert elsewhere == "it is not permitted any more (spec.tools[0].repos)"


def test_an_edit_hides_nothing() -> None:
    found = edited(held(), title="a\u202eb")
    assert isinstance(found, str)
    assert "invisible character (U+202E)" in found
