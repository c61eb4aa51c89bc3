"""Attacks on places: an agent answers where its manifest says, and nowhere else, also in old threads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.receive import UNBOUND, Taken
from openloop.storage import conversations
from tests import make

if TYPE_CHECKING:
    from tests.make import Stage

ELSEWHERE = {"surfaces": [{"type": "slack", "channel": "#ops"}]}


async def test_an_agent_that_was_taken_out_of_a_channel_is_gone_from_its_threads_too(
    stage: Stage,
) -> None:
    ref = await stage.mention()
    await stage.work(ref)
    await stage.revise(ELSEWHERE)

    asked = await stage.say("and open another issue")
    followed = await stage.say("please", addressed="followup")
    await stage.work(ref)

    assert (asked.taken, followed.taken) == (Taken.UNBOUND, Taken.IGNORED)
    assert len(await stage.runs()) == 1
    assert stage.surface.said == ["All done.", UNBOUND]


async def test_what_was_not_read_when_it_was_taken_out_opens_no_run(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    assert work.run is not None
    await stage.say("and another one", by="anna")
    await stage.revise(ELSEWHERE)
    async with stage.tx() as tx:
        await conversations.hand_over(tx, work.claim)
        await tx.run("UPDATE runs SET state = 'done', ended_at = openloop.now()")

    await stage.work(ref)

    assert len(await stage.runs()) == 1
    assert stage.models.requests == []


async def test_a_thread_goes_on_with_the_agent_that_its_channel_has_now(stage: Stage) -> None:
    ref = await stage.mention()
    await stage.work(ref)
    await stage.revise(ELSEWHERE)
    await make.applied_agent(stage.database, stage.workspace, name="second")

    await stage.say("and another one")

    second, first = await stage.runs()
    assert second.agent_id != first.agent_id


async def test_the_twin_of_a_mention_does_not_take_its_polite_line(stage: Stage) -> None:
    """Slack sends a mention twice; which one comes first, and knows itself as one, is chance."""
    mention = make.inbound("hello?", channel="NOBODY", subject_key="one message")
    twin = replace(mention, delivery_key="another delivery", addressed="followup")
    twin = replace(twin, thread=replace(twin.thread, root="root-of-a-thread"))

    assert (await stage.take(twin)).taken is Taken.IGNORED
    assert (await stage.take(mention)).taken is Taken.UNBOUND


async def test_what_people_say_where_nobody_listens_leaves_nothing(stage: Stage) -> None:
    before = await stage.count("taken_keys")

    await stage.say("hello", channel="NOBODY", addressed="followup")
    await stage.say("hello", channel="NOBODY", kind="edited")
    await stage.say("hello", root="unknown", kind="deleted")
    await stage.say("stop", root="unknown")

    assert await stage.count("taken_keys") == before
