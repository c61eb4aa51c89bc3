"""What else is taken back: under ids that are nobody's, that were theirs once, and what they steered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.domain.surface import Actor
from tests import make
from tests.actions.deciding import decide
from tests.actions.linked import link, unlink
from tests.actions.test_offboarding import gone, offboard
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from tests.make import Stage


async def test_whom_nobody_has_listed_is_taken_back_too(stage: Stage) -> None:
    ref, _ = await stage.hold(await stage.mention(by="carol"))
    other, _ = await stage.hold(await stage.mention(by="anna", root="root-2"))

    await stage.intake(gone("U0CAROL", tenant="T0OTHER"))
    assert (await stage.approval(ref)).state == "pending"
    await stage.intake(gone("U0CAROL"))

    assert (await stage.approval(ref)).state == "withdrawn"
    assert (await stage.approval(other)).state == "pending"
    await stage.work(ref)
    assert (await stage.run_of(ref)).state == "cancelled"
    assert stage.surface.settled[-1].outcome == "Withdrawn: whoever asked has left"
    assert "run.stop_asked" in await stage.kinds("run.")


async def test_what_they_asked_for_under_an_id_that_they_gave_up_is_taken_back(
    stage: Stage,
) -> None:
    await link(stage, "ben", "U0SECOND")
    before, _ = await stage.hold(await stage.mention(by="second"))
    await decide(stage, before, "approve", by="anna")
    await unlink(stage, "ben")
    after, _ = await stage.hold(await stage.mention(by="second", root="root-2"))

    left = await offboard(stage, "ben")

    assert (left.runs, left.approvals) == (2, 2)
    await stage.work(before)
    assert stage.tracker.writes == []
    assert (await stage.approval(after)).state == "withdrawn"


async def test_but_not_what_its_next_owner_asks_for(stage: Stage) -> None:
    await link(stage, "ben", "U0SECOND")
    await unlink(stage, "ben")
    await link(stage, "anna", "U0SECOND")
    ref, _ = await stage.hold(await stage.mention(by="second"))

    await offboard(stage, "ben")

    assert (await stage.approval(ref)).state == "pending"


async def test_what_a_run_of_somebody_else_asks_for_after_they_steered_it_is_withdrawn(
    stage: Stage,
) -> None:
    stage.models.turns = [reply("I will open it.", make.CREATE), reply("All done.")]
    ref = await stage.mention("hello", by="anna")
    await stage.say("please open it in acme/platform", by="ben")
    await stage.work(ref)
    assert (await stage.approval(ref)).state == "pending"

    left = await offboard(stage, "ben")
    await stage.work(ref)

    assert (left.runs, left.approvals) == (0, 1)
    assert (await stage.approval(ref)).state == "withdrawn"
    assert ((await stage.run_of(ref)).state, stage.tracker.writes) == ("done", [])


async def test_what_they_asked_for_on_the_console_is_taken_back(stage: Stage) -> None:
    ben = await stage.principal("ben")
    asked = Actor(surface="console", tenant="acme", id=str(ben.id), name="ben")
    received = await stage.take(replace(make.inbound(), actor=asked))
    ref, _ = await stage.hold(received.conversation)

    left = await offboard(stage, "ben")

    assert (left.runs, left.approvals) == (1, 1)
    assert (await stage.approval(ref)).state == "withdrawn"
