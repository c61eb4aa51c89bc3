"""What the record says of an approval: each thing that happens to it, once, with all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.breaking import BREAK_GLASS, ask_to_break
from openloop.actions.vote import vote
from openloop.actions.waiting import withdraw
from openloop.domain.audit import Who
from openloop.domain.surface import Say
from tests.actions.asking import PEOPLE, edit, rule, stage_with
from tests.actions.deciding import decide

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.domain.audit import AuditEvent
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

LATER = [{"after_hours": 4, "approvers": ["@security"]}]


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need two maintainers, and after four hours security may decide, too."""
    return await stage_with(database, rule(escalation=LATER))


async def said(stage: Stage, kind: str, approval: Approval) -> tuple[Who, dict[str, Any]]:
    """Who did it, and what stands with it; it is about that approval of its run."""
    [event] = [each for each in await stage.audit(kind) if each.kind == kind]
    return told(event, approval)


def told(event: AuditEvent, approval: Approval) -> tuple[Who, dict[str, Any]]:
    assert (event.subject, event.run_id) == (approval.id, approval.run_id)
    return event.actor, event.detail


async def person(stage: Stage, name: str, *, via: str = "api", surface: str = "") -> Who:
    principal = await stage.principal(name)
    external_id = f"U0{name.upper()}" if surface else ""
    return Who(
        kind="principal",
        name=name,
        principal_id=principal.id,
        surface=surface,
        external_id=external_id,
        via=via,
    )


SYSTEM = Who(kind="system", name="openloop")


async def test_an_ask_says_what_is_asked_of_whom_by_which_rule(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    actor, detail = await said(stage, "approval.asked", approval)
    assert (actor.kind, actor.name) == ("agent", "dev-platform")
    assert detail == {
        "tool": "github__create_issue",
        "hash": approval.hash,
        "rule": approval.rule,
        "approvers": ["@maintainers"],
        "quorums": [2],
        "solo_mode": False,
        "parked": "",
    }


async def test_votes_say_how_far_it_is_and_the_last_one_what_it_came_to(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, "approve", by="anna")
    approval = await stage.approval(ref)
    assert await said(stage, "approval.voted", approval) == (
        await person(stage, "anna"),
        {"hash": approval.hash, "round": 1, "attempt": 1, "given": [1], "quorums": [2]},
    )
    await stage.press("approve", by="priya")
    assert await said(stage, "approval.approved", approval) == (
        await person(stage, "priya", via="slack", surface="slack"),
        {
            "tool": "github__create_issue",
            "hash": approval.hash,
            "round": 1,
            "attempt": 1,
            "solo_mode": False,
            "own_request": False,
            "reason": "",
        },
    )


async def test_a_rejection_says_why(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    denied = await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        "deny",
        by=await stage.principal("anna"),
        via="cli",
        reason="not now",
    )
    actor, detail = await said(stage, "approval.denied", approval)
    assert actor == await person(stage, "anna", via="cli")
    assert (detail["reason"], detail["own_request"]) == ("not now", False)
    assert (denied.state, denied.reason) == ("denied", "not now")
    await stage.work(ref)
    assert stage.surface.settled[-1].outcome == "Rejected by anna: not now"


async def test_an_edit_says_what_it_was_and_what_it_is(stage: Stage) -> None:
    ref, _ = await stage.hold()
    before = await stage.approval(ref)
    edited = await edit(stage, ref, by="anna", title="Another")
    assert await said(stage, "approval.edited", before) == (
        await person(stage, "anna"),
        {
            "tool": "github__create_issue",
            "before": before.hash,
            "hash": edited.hash,
            "round": 2,
            "reason": "",
        },
    )
    assert edited.card.notes[-1] == "Edited by anna, whose vote does not count"


async def test_time_says_who_may_decide_and_that_nobody_has(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    await clock.advance(hours=5)
    await stage.sweep_and_work(ref)
    assert await said(stage, "approval.escalated", approval) == (
        SYSTEM,
        {"stage": 1, "approvers": ["@security"]},
    )
    await clock.advance(hours=100)
    await stage.sweep_and_work(ref)
    assert await said(stage, "approval.expired", approval) == (SYSTEM, {})
    assert stage.surface.settled[-1].outcome == "Expired: nobody decided"


async def test_what_has_changed_is_said_where_it_is_asked_anew(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    approvals = {"approvers": ["@maintainers"], "rules": [rule(quorum=1)]}
    await stage.revise({"approvals": approvals})
    await stage.sweep_and_work(ref)
    [before, _] = await stage.approvals(ref)
    assert await said(stage, "approval.stale", approval) == (
        SYSTEM,
        {"reason": before.reason, "asked_anew": True},
    )
    assert before.reason


async def test_an_ask_that_is_taken_back_says_by_whom_and_why(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    who = await person(stage, "priya")
    taken = await withdraw(stage.database, stage.workspace, approval.id, by=who, reason="a mistake")
    assert await said(stage, "approval.withdrawn", approval) == (who, {"reason": "a mistake"})
    assert (taken.state, taken.reason) == ("withdrawn", "a mistake")
    await stage.work(ref)
    assert stage.surface.settled[-1].outcome == "Withdrawn by priya: a mistake"


async def test_a_vote_that_counts_no_more_says_why_it_is_open_again(stage: Stage) -> None:
    ref, token = await stage.hold()
    for who in ("anna", "priya"):
        await stage.press("approve", by=who, token=token)
    groups = {"maintainers": ["@priya", "@mallory"], "security": ["@mallory"]}
    await stage.revise_workspace({**PEOPLE, "groups": groups})
    await stage.work(ref)
    [approval] = await stage.approvals(ref)
    reason = "the vote of anna does not count any more"
    assert await said(stage, "approval.reopened", approval) == (SYSTEM, {"reason": reason})
    assert any(op.outcome == f"Open again: {reason}, see below" for op in stage.surface.settled)


# --- glasses and clicks --------------------------------------------------------------------------


async def asked_to_break(stage: Stage, ref: ConversationRef) -> str:
    """Priya wants to break the glass; the token of her button."""
    await ask_to_break(
        stage.database,
        stage.configuration,
        stage.workspace,
        (await stage.approval(ref)).id,
        by=await stage.principal("priya"),
        via="api",
        reason="production is down",
    )
    await stage.work(ref)
    says = [op for op in stage.surface.posted.values() if isinstance(op, Say) and op.buttons]
    return says[-1].buttons[0].token


async def test_a_glass_says_who_wants_it_broken_and_who_was_told(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    token = await asked_to_break(stage, ref)
    about = {"hash": approval.hash, "reason": "production is down"}
    assert await said(stage, "glass.asked", approval) == (await person(stage, "priya"), about)

    await stage.press(BREAK_GLASS, by="priya", token=token)
    actor, detail = await said(stage, "glass.broken", approval)
    assert detail == {**about, "told": ["anna"], "not_reached": []}
    assert (actor.principal_id, actor.name) == ((await stage.principal("priya")).id, "priya")
    assert (actor.surface, actor.external_id, actor.via) == ("slack", "U0PRIYA", "slack")


async def test_a_click_that_is_refused_says_by_whom_and_why(stage: Stage) -> None:
    await stage.hold()
    await stage.press("approve", by="mallory")
    await stage.press("approve", by="stranger")
    refused = await stage.audit("click.refused")
    assert [event.detail for event in refused] == [{"code": "not_an_approver"}] * 2
    listed, stranger = (event.actor for event in refused)
    assert listed == await person(stage, "mallory", via="slack", surface="slack")
    assert (stranger.kind, stranger.external_id) == ("actor", "U0STRANGER")
