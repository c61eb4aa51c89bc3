"""Quorums: enough different people, all of whom may still decide when it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import AlreadyDecided, NotAnApprover
from openloop.storage import principals
from tests import make
from tests.actions.asking import PEOPLE, edit, rule, stage_with
from tests.actions.deciding import decide

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


SECURITY = {"security": ["@mallory"]}


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need two maintainers."""
    return await stage_with(database, rule())


async def test_two_people_are_needed_and_the_card_says_how_far_it_is(stage: Stage) -> None:
    ref, token = await stage.hold()
    assert "Decides: 2 of @maintainers" in stage.surface.cards[0].card.notes

    await stage.press("approve", by="anna", token=token)
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    told = stage.surface.settled[-1]
    assert told.outcome == "Approved by anna; 1 of 2 so far"
    assert [button.action for button in told.buttons] == ["approve", "deny"]
    assert stage.tracker.writes == []

    await stage.press("approve", by="priya", token=token)
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1
    [intended] = await stage.audit("effect.intended")
    assert intended.detail["approved_by"] == ["anna", "priya"]
    assert await stage.kinds("approval") == [
        "approval.asked",
        "approval.voted",
        "approval.approved",
    ]


async def test_two_ids_of_one_person_are_one_vote(stage: Stage) -> None:
    """A second Slack id, the API, the same id twice: all of it is Anna."""
    ref, token = await stage.hold()
    anna = await stage.principal("anna")
    async with stage.tx() as tx:
        await principals.set_identity(
            tx, stage.workspace, anna.id, surface="slack", tenant="", external_id="U0ANNATWO"
        )

    for who in ("anna", "annatwo", "anna"):
        await stage.press("approve", by=who, token=token)
    with pytest.raises(AlreadyDecided, match="needs somebody else"):
        await decide(stage, ref, "approve", by="anna")
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    assert stage.tracker.writes == []
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM votes") == 1


async def test_two_votes_at_once_are_both_counted(stage: Stage) -> None:
    ref, token = await stage.hold()

    await asyncio.gather(
        *(stage.press("approve", by=who, token=token) for who in ("anna", "priya") * 3)
    )
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1


async def test_one_rejection_is_enough(stage: Stage) -> None:
    ref, token = await stage.hold()
    await stage.press("approve", by="anna", token=token)
    await stage.press("deny", by="priya", token=token)
    assert (await stage.approval(ref)).state is ApprovalState.DENIED


async def test_a_vote_counts_no_more_once_its_person_has_left(stage: Stage) -> None:
    """Anna leaves between the votes: Priya and nobody else is not two."""
    ref, token = await stage.hold()
    await stage.press("approve", by="anna", token=token)
    await stage.revise_workspace({**PEOPLE, "groups": {"maintainers": ["@priya"], **SECURITY}})

    await stage.press("approve", by="priya", token=token)
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    assert stage.tracker.writes == []


async def test_nor_where_they_leave_between_the_last_vote_and_the_effect(stage: Stage) -> None:
    ref, token = await stage.hold()
    for who in ("anna", "priya"):
        await stage.press("approve", by=who, token=token)
    others = {"maintainers": ["@priya", "@mallory"], **SECURITY}
    await stage.revise_workspace({**PEOPLE, "groups": others})

    await stage.work(ref)

    [approval] = await stage.approvals(ref)
    assert approval.state is ApprovalState.PENDING
    assert approval.reason == "the vote of anna does not count any more"
    assert "approval.reopened" in await stage.kinds()
    assert stage.tracker.writes == []
    # Priya's vote still stands: one more is enough.
    await stage.press("approve", by="mallory")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_every_rule_that_matches_has_to_be_satisfied(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1), rule(approvers=["@security"], quorum=1))
    ref, token = await stage.hold()

    await stage.press("approve", by="anna", token=token)
    await stage.press("approve", by="priya", token=token)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    await stage.press("approve", by="mallory", token=token)

    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_what_both_revisions_demand_has_to_be_met(database: Database) -> None:
    """The run began under one rule and the other one is live: people of both have to agree."""
    roles = {**make.WORKSPACE["roles"], "approver": ["@maintainers", "@ben"]}
    stage = await make.stage(database, workspace={"roles": roles})
    ref, _ = await stage.hold(await stage.mention(by="priya"))
    await stage.revise(
        {"approvals": {"require_for": ["github.issues:write"], "approvers": ["@ben"]}}
    )
    await stage.work(ref)
    stale, _ = await stage.approvals(ref)
    assert stale.state is ApprovalState.STALE

    await decide(stage, ref, "approve", by="ben")
    await stage.work(ref)
    assert stage.tracker.writes == []
    await decide(stage, ref, "approve", by="anna")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


# --- escalation ----------------------------------------------------------------------------------

LATER = rule(quorum=1, escalation=[{"after_hours": 4, "approvers": ["@security"]}])


async def test_further_people_are_told_in_time_and_may_decide(
    database: Database, clock: Clock
) -> None:
    stage = await stage_with(database, LATER)
    ref, _ = await stage.hold()
    with pytest.raises(NotAnApprover):
        await decide(stage, ref, "approve", by="mallory")

    await clock.advance(hours=4.01)
    await stage.work(ref)

    assert "<@U0MALLORY> may decide it, too" in stage.surface.said[-1]
    assert await stage.kinds("approval.escalated") == ["approval.escalated"]
    await decide(stage, ref, "approve", by="mallory")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_they_are_told_once(database: Database, clock: Clock) -> None:
    stage = await stage_with(database, LATER)
    ref, _ = await stage.hold()
    await clock.advance(hours=5)
    for _ in range(3):
        await stage.sweep_and_work(ref)
    assert len(stage.surface.said) == 1


async def test_the_due_time_is_a_row_that_any_worker_finds(
    database: Database, clock: Clock
) -> None:
    """Whoever asked is gone: nothing about the wait is in a process."""
    stage = await stage_with(database, LATER)
    ref, _ = await stage.hold()
    async with stage.tx() as tx:
        hours = await tx.value(
            "SELECT extract(epoch FROM wake_at - openloop.now()) / 3600 FROM conversations"
        )
    assert 3.9 < float(hours) <= 4

    await clock.advance(hours=4)
    await stage.work(ref, stage.kit())
    async with stage.tx() as tx:
        hours = await tx.value(
            "SELECT extract(epoch FROM wake_at - openloop.now()) / 3600 FROM conversations"
        )
    assert 67 < float(hours) <= 68


async def test_what_is_due_counts_also_before_anybody_was_told(
    database: Database, clock: Clock
) -> None:
    """No worker was there at the time; that it is their turn is a matter of the clock."""
    stage = await stage_with(database, LATER)
    ref, _ = await stage.hold()
    await clock.advance(hours=4)
    await decide(stage, ref, "approve", by="mallory")
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


# --- edits ---------------------------------------------------------------------------------------


async def test_an_edit_voids_the_votes_and_the_editors_own_does_not_count(stage: Stage) -> None:
    three = {"maintainers": ["@priya", "@anna", "@mallory"], **SECURITY}
    await stage.revise_workspace({**PEOPLE, "groups": three})
    ref, token = await stage.hold()
    await stage.press("approve", by="mallory", token=token)

    await edit(stage, ref, by="anna", title="Move to Postgres 18")
    approval = await stage.approval(ref)
    for who in ("anna", "priya"):
        await stage.press("approve", by=who, token=token)  # of the card as it was before
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING

    token = stage.surface.settled[-1].buttons[0].token
    for who in ("anna", "priya"):
        await stage.press("approve", by=who, token=token)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    await stage.press("approve", by="mallory", token=token)
    await stage.work(ref)

    [arguments] = stage.tracker.issues.values()
    assert arguments["title"] == "Move to Postgres 18"
    assert (await stage.approval(ref)).hash == approval.hash
