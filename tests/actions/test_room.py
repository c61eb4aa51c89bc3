"""Room: how much people are asked about at once, also where many ask at the same moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openloop.storage import approvals, room
from tests.actions.asking import rule, stage_with
from tests.actions.deciding import decide
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Clock

LATER = rule(quorum=1, escalation=[{"after_hours": 4, "approvers": ["@security"]}])


async def test_of_two_that_ask_at_once_the_second_counts_the_first(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1), asks={"per_approver": 1})
    first, _ = await stage.hold_quietly()
    people = [(await stage.principal(name)).id for name in ("anna", "priya")]
    async with stage.tx() as tx:  # nobody has been asked about it yet ...
        id = (await stage.approval(first)).id
        await approvals.set_shown(tx, id, parked="batch", card_id=None, told=[])
    async with stage.tx() as tx:  # ... and somebody is about to, when the next run asks too
        await room.lock(tx)
        await tx.settle()
        asking = asyncio.create_task(stage.hold_quietly(root="root-2"))
        await until_someone_waits_for(tx)
        await approvals.set_shown(tx, id, parked="", card_id=None, told=people)

    _, second = await asking
    assert second.parked == "approvers"


async def test_whoever_has_no_room_is_not_told_when_it_is_their_turn(
    database: Database, clock: Clock
) -> None:
    stage = await stage_with(database, LATER, asks={"per_approver": 1})
    refs = [(await stage.hold_quietly(root=f"root-{n}"))[0] for n in range(3)]
    await clock.advance(hours=4.01)
    for ref in refs:
        await stage.work(ref)

    told = [text for text in stage.surface.said if "may decide it, too" in text]
    assert [text for text in told if "<@U0MALLORY>" in text] == told[:1]
    assert len(told) == 3

    # They may all the same: that is a matter of the clock.
    await decide(stage, refs[-1], "approve", by="mallory")
    await stage.work(refs[-1])
    assert len(stage.tracker.writes) == 1
