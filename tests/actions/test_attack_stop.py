"""Attacks on the stop: a stop is never a request, never lost, and never overtaken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.actions.receive import Taken
from openloop.domain.run import RunState
from openloop.storage import conversations, messages, runs
from tests.runtime.fakes import reply
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from tests.make import Stage


async def test_a_stop_that_meets_the_end_of_its_run_opens_no_run(stage: Stage) -> None:
    """The worker is committing the answer when somebody says stop."""
    ref = await stage.mention()
    run = await stage.run_of(ref)

    async with stage.tx() as tx:  # the worker ends the run...
        await conversations.lock(tx, ref.id)
        await runs.end(tx, run.id, RunState.DONE, outcome="answered")
        stop = asyncio.create_task(stage.say("stop", by="anna"))
        await until_someone_waits_for(tx)  # ...while a stop comes in

    assert (await stop).taken is Taken.IGNORED
    assert [each.id for each in await stage.runs()] == [run.id]


@pytest.mark.parametrize("chatter", [messages.AT_ONCE - 1, messages.AT_ONCE, 3 * messages.AT_ONCE])
async def test_a_stop_is_heard_behind_any_number_of_messages(stage: Stage, chatter: int) -> None:
    """People talk in the thread while an approval waits; nothing of that is read meanwhile."""
    ref, token = await stage.hold()
    for number in range(chatter):
        await stage.say(f"and what about {number}?", by="anna")

    await stage.say("stop", by="priya")
    stage.models.turns = [reply("never said")]
    await stage.work(ref)

    assert [run.state for run in await stage.runs()] == [RunState.CANCELLED]
    assert stage.surface.said == ["Stopped, as priya asked."]
    await stage.press("approve", by="anna", token=token)
    await stage.work(ref)
    assert stage.tracker.writes == []


async def test_what_is_said_after_a_stop_is_a_request_of_its_own(stage: Stage) -> None:
    ref, _ = await stage.hold()
    for number in range(messages.AT_ONCE + 5):
        await stage.say(f"and what about {number}?", by="anna")
    await stage.say("stop", by="priya")
    await stage.say("what did we decide?", by="ben")
    stage.models.turns = [reply("Nothing.")]

    await stage.work(ref)

    second, first = await stage.runs()
    assert (first.state, second.state) == (RunState.CANCELLED, RunState.DONE)
    assert second.request == "what did we decide?"


async def test_a_stranger_stops_nothing_and_hides_no_stop_of_a_member(stage: Stage) -> None:
    stage.surface.kinds = {"U0EVE": "guest"}
    await stage.hold()
    for number in range(messages.AT_ONCE + 5):
        await stage.say(f"and what about {number}?", by="anna")
    await stage.say("stop", by="eve")
    await stage.say("stop", by="priya")
    ref = await stage.mention("are you there?", by="anna")

    await stage.work(ref)

    assert stage.surface.said[0] == "Stopped, as priya asked."
