"""What becomes of a call that nobody decides: each look at it does what is due, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.judged import Changed
from openloop.actions.pause import pause
from openloop.actions.waiting import Look, reopen, withdraw
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import AlreadyDecided, LostClaim, NotFound
from openloop.domain.ids import ApprovalId, new_id
from openloop.domain.pause import PauseScope
from openloop.storage import approvals, conversations, steps
from tests.actions.asking import PEOPLE, rule, stage_with
from tests.actions.deciding import decide
from tests.actions.holding import held_as, taken, too_late, woken
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.storage.database import Database
    from tests.make import Clock, Stage

NOW: dict[str, Any] = {"seq": 99, "rule": "another", "hash": "1" * 64, "expires_hours": 5}
PENDING, APPROVED = ApprovalState.PENDING, ApprovalState.APPROVED
LATER = [
    {"after_hours": 4, "approvers": ["@security"]},
    {"after_hours": 8, "approvers": ["@ben", "@priya"]},
]


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need one maintainer."""
    return await stage_with(database, rule(quorum=1))


async def parked(stage: Stage, *roots: str) -> Callable[[], Any]:
    """Calls of other runs that wait for room; returns what tells how often each was woken."""
    refs = [(await stage.hold_quietly(root=root))[0] for root in roots]
    async with stage.tx() as tx:
        for ref in refs:
            id = (await stage.approval(ref)).id
            await approvals.set_shown(tx, id, parked="approvers", card_id=None, told=[])

    async def wakes() -> list[int]:
        async with stage.tx() as tx:
            found = dict(await tx.tuples("SELECT id, wakes FROM conversations"))  # pyright: ignore
        return [found[ref.id] for ref in refs]

    return wakes


# --- nothing is due ------------------------------------------------------------------------------


async def test_what_is_not_due_is_looked_at_again_in_time(stage: Stage) -> None:
    held = await taken(stage)
    before = len(await stage.outbox(held.ref))
    found = await held.look()
    assert (found.again_at, found.has_posted) == (held.approval.expires_at, False)
    assert await held.now() == held.approval
    assert len(await stage.outbox(held.ref)) == before


async def test_what_is_decided_needs_no_further_look(stage: Stage) -> None:
    held = await taken(stage)
    await decide(stage, held.ref, "deny", by="anna")
    assert await held.look(Changed(reason="another")) == Look(again_at=None)
    assert (await held.now()).state is ApprovalState.DENIED


async def test_whoever_has_lost_the_conversation_does_nothing_about_it(
    stage: Stage, clock: Clock
) -> None:
    held = await taken(stage)
    await stage.lapse(held.ref)
    await stage.claim(held.ref)
    await clock.advance(hours=73)
    with pytest.raises(LostClaim):
        await held.look()
    assert (await held.now()).state is PENDING


async def test_in_a_pause_only_time_goes_on(database: Database, clock: Clock) -> None:
    stage = await stage_with(database, rule(quorum=1, escalation=LATER))
    held = await taken(stage)
    await pause(
        stage.database, stage.workspace, scope=PauseScope.WORKSPACE, reason="look", by=SYSTEM
    )
    await clock.advance(hours=5)
    found = await held.look(Changed(reason="another"))
    assert found == Look(again_at=held.approval.next_look_at())
    assert await held.now() == held.approval


# --- time ----------------------------------------------------------------------------------------


async def test_it_expires_at_its_time_and_makes_room_for_one_other(
    stage: Stage, clock: Clock
) -> None:
    held = await taken(stage)
    wakes = await parked(stage, "root-2", "root-3")
    await clock.stop(held.approval.expires_at - timedelta(seconds=1))
    assert (await held.look()).again_at == held.approval.expires_at
    before = await wakes()
    await clock.stop(held.approval.expires_at)
    assert await held.look() == Look(again_at=None, has_posted=True)
    assert (await held.now()).state is ApprovalState.EXPIRED
    assert await held.outcome() == "Expired: nobody decided"
    assert [after - then for then, after in zip(before, await wakes(), strict=True)] == [1, 0]


async def test_further_people_are_told_at_their_time_once(database: Database, clock: Clock) -> None:
    stage = await stage_with(database, rule(quorum=1, escalation=LATER))
    held = await taken(stage)
    mallory, ben = [(await stage.principal(name)).id for name in ("mallory", "ben")]
    hours = [held.approval.asked_at + timedelta(hours=each) for each in (4, 8)]
    title = held.approval.card.title

    await clock.stop(hours[0])
    assert await held.look() == Look(again_at=hours[1], has_posted=True)
    assert await held.look() == Look(again_at=hours[1])
    now = await held.now()
    assert (now.escalated, now.told) == (1, (*held.approval.told, mallory))
    [said] = await held.rows("Say")
    assert said["markdown"] == (
        f"Nobody has decided this yet: {title}. From now on <@U0MALLORY> may decide it, too."
    )
    assert list(said["mention_ids"]) == ["U0MALLORY"]

    await clock.stop(hours[1])
    assert await held.look() == Look(again_at=held.approval.expires_at, has_posted=True)
    now = await held.now()
    assert (now.escalated, now.told) == (2, (*held.approval.told, mallory, ben))
    assert list((await held.rows("Say"))[-1]["mention_ids"]) == ["U0BEN"]
    assert [each.detail for each in await stage.audit("approval.escalated")] == [
        {"stage": 1, "approvers": ["@security"]},
        {"stage": 2, "approvers": ["@ben", "@priya"]},
    ]


async def test_whoever_has_no_id_there_is_told_as_the_manifest_has_them(
    database: Database, clock: Clock
) -> None:
    people: dict[str, object] = {**PEOPLE["people"], "mallory": {}, "ben": {}}
    stage = await stage_with(database, rule(quorum=1, escalation=LATER), people=people)
    held = await taken(stage)
    await clock.advance(hours=9)
    assert (await held.look()).again_at == held.approval.expires_at
    [said] = await held.rows("Say")
    assert "From now on @security, @ben, @priya may decide it, too." in said["markdown"]


async def test_what_was_told_meanwhile_is_not_told_by_this_worker(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await stage_with(database, rule(quorum=1, escalation=LATER))
    held = await taken(stage)
    await clock.advance(hours=5)
    monkeypatch.setattr(approvals, "set_escalated", too_late)
    with pytest.raises(LostClaim):
        await held.look()
    assert await held.rows("Say") == []


# --- room ----------------------------------------------------------------------------------------


async def test_what_is_parked_is_shown_when_people_have_room(stage: Stage) -> None:
    held = await taken(stage)
    await held.set("parked = 'approvers', told = '{}'")
    before = len(await held.rows("Ask"))
    assert await held.look() == Look(again_at=held.approval.expires_at, has_posted=True)
    now = await held.now()
    assert (now.parked, now.told) == ("", held.approval.told)
    assert len(await held.rows("Ask")) == before + 1


async def test_and_else_looked_at_again_soon(database: Database, clock: Clock) -> None:
    stage = await stage_with(database, rule(quorum=1), asks={"per_approver": 1})
    await stage.hold_quietly(root="root-0")
    held = await taken(stage)
    expires = held.approval.expires_at
    assert held.approval.parked == "approvers"
    for before, again in ((60, 55), (2, 0)):
        await clock.stop(expires - timedelta(minutes=before))
        async with stage.tx() as tx:  # the other one stays open
            await tx.run(
                "UPDATE approvals SET expires_at = expires_at + interval '1 day' WHERE id <> %(id)s",
                {"id": held.approval.id},
            )
        assert await held.look() == Look(again_at=expires - timedelta(minutes=again))
    assert await held.rows("Ask") == []


@pytest.mark.parametrize("why", ["run", "batch"])
async def test_what_waits_in_the_inbox_for_other_reasons_stays_there(
    stage: Stage, why: str
) -> None:
    held = await taken(stage)
    await held.set(f"parked = '{why}'")
    assert await held.look() == Look(again_at=held.approval.expires_at)


# --- what has changed ----------------------------------------------------------------------------


async def test_what_has_changed_is_asked_anew_for_the_same_step(stage: Stage) -> None:
    held = await taken(stage)
    anna = (await stage.principal("anna")).id
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET edited_by = %(anna)s", {"anna": anna})
    await held.set_run("working")

    found = await held.look(Changed(reason="the rule changed", anew=held_as(held.approval, **NOW)))

    assert found == Look(again_at=None, has_posted=True)
    stale, new = await stage.approvals(held.ref)
    assert (stale.id, stale.state, stale.reason) == (
        held.approval.id,
        ApprovalState.STALE,
        "the rule changed",
    )
    assert (new.state, new.step_seq, new.edited_by) == (PENDING, held.step.seq, anna)
    assert await held.outcome() == "Stale: the rule changed. It is asked anew below"
    assert await held.run_state() == "waiting"
    assert new.expires_at - new.asked_at == timedelta(hours=5)


async def test_what_would_not_be_asked_any_more_is_told_to_the_model(stage: Stage) -> None:
    held = await taken(stage)
    step = await held.void(Changed(reason="the tool is gone"))
    assert await held.outcome() == "Not done: the tool is gone"
    [kept] = [each for each in await stage.steps(held.run) if each.seq == held.step.seq]
    assert (step.state, kept.state) == ("finished", "finished")
    assert step.output == kept.output
    assert kept.output == {
        "outcome": "refused",
        "content": {
            "refused": "The approval is stale: the tool is gone. Ask again if it is needed."
        },
    }
    [told] = await stage.audit("approval.stale")
    assert told.detail == {"reason": "the tool is gone", "asked_anew": False}


async def test_what_is_asked_anew_keeps_its_step(stage: Stage) -> None:
    held = await taken(stage)
    assert await held.void(Changed(reason="x", anew=held_as(held.approval, **NOW))) == held.step


async def test_what_somebody_decided_meanwhile_is_not_stale(stage: Stage) -> None:
    held = await taken(stage)
    with pytest.raises(LostClaim):
        await held.void(Changed(reason="x"), state=APPROVED)
    assert (await held.now()).state is PENDING


async def test_nor_does_a_step_end_twice(stage: Stage) -> None:
    held = await taken(stage)
    async with stage.tx() as tx:
        assert await steps.finish(tx, held.run.id, held.step.seq, output={"content": "first"})
    with pytest.raises(LostClaim, match=held.step.key):
        await held.void(Changed(reason="x"))


# --- open again, and taken back ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "actions"),
    [
        (PENDING, ["approve", "deny"]),
        (ApprovalState.UNKNOWN, ["happened", "retry"]),
    ],
)
async def test_what_is_open_again_is_asked_again(
    stage: Stage, after: ApprovalState, actions: list[str]
) -> None:
    held = await taken(stage)
    before = len(await held.rows("Ask"))
    await held.set_run("working")

    async def again() -> None:
        async with stage.tx() as tx:
            await reopen(tx, held.work, held.run, held.approval, after=after, why="anna left")

    with pytest.raises(LostClaim):
        await again()
    await held.set("state = 'approved'")
    await again()

    now = await held.now()
    assert (now.state, now.reason) == (after, "anna left")
    assert await held.outcome() == "Open again: anna left, see below"
    asks = await held.rows("Ask")
    assert len(asks) == before + 1
    assert [button["action"] for button in asks[-1]["buttons"]] == actions
    assert await held.run_state() == "waiting"


@pytest.mark.parametrize("state", ["pending", "approved"])
async def test_what_is_taken_back_wakes_its_run_and_one_other(stage: Stage, state: str) -> None:
    held = await taken(stage)
    await held.set(f"state = '{state}'")
    wakes = await parked(stage, "root-2", "root-3")
    before, (own, asked) = await wakes(), await woken(stage, held.ref)
    who = replace(SYSTEM, name="priya")

    taken_back = await withdraw(
        stage.database, stage.workspace, held.approval.id, by=who, reason=""
    )

    assert (taken_back.state, taken_back.reason) == (ApprovalState.WITHDRAWN, "")
    assert await held.outcome() == "Withdrawn by priya"
    assert [after - then for then, after in zip(before, await wakes(), strict=True)] == [1, 0]
    assert await woken(stage, held.ref) == (own + 1, asked + 1)


async def test_whoever_takes_it_back_waits_for_the_conversation_first(stage: Stage) -> None:
    """As workers do: in any other order the two would meet."""
    held = await taken(stage)
    async with stage.tx() as tx:
        await conversations.lock(tx, held.ref.id)
        taking = asyncio.create_task(
            withdraw(stage.database, stage.workspace, held.approval.id, by=SYSTEM, reason="x")
        )
        await until_someone_waits_for(tx)
        await tx.run("SET LOCAL lock_timeout = '200ms'")
        await approvals.lock(tx, held.approval.id)
    assert (await taking).state is ApprovalState.WITHDRAWN


async def test_nothing_is_taken_back_that_is_decided(stage: Stage) -> None:
    held = await taken(stage)
    await held.set("state = 'denied'")
    with pytest.raises(AlreadyDecided, match="it is denied"):
        await withdraw(stage.database, stage.workspace, held.approval.id, by=SYSTEM, reason="x")
    with pytest.raises(NotFound):
        await withdraw(stage.database, stage.workspace, ApprovalId(new_id()), by=SYSTEM, reason="x")
