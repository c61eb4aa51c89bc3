"""Claims: one worker at a time, nothing by one that was declared dead, no wake lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.actions import claims
from openloop.domain.ids import new_id
from openloop.domain.run import RunState
from openloop.domain.surface import Say
from openloop.runtime import turn
from openloop.runtime.worker import Worker
from openloop.storage import conversations
from tests import make
from tests.runtime.fakes import reply
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.surface import Op, Receipt, Thread
    from tests.make import Clock, Stage


async def test_of_two_workers_one_gets_the_conversation(stage: Stage) -> None:
    ref = await stage.mention()

    async with stage.tx() as tx:  # one worker is claiming...
        assert await conversations.claim(tx, ref, worker=new_id()) is not None
        second = asyncio.create_task(
            claims.take(stage.database, stage.configuration, ref, worker=new_id())
        )
        await until_someone_waits_for(tx)  # ...when the other does

    assert await second is None


async def test_many_workers_never_hold_a_conversation_together(stage: Stage) -> None:
    ref = await stage.mention()
    inside, most = 0, 0
    all_tried = asyncio.Event()

    async def work(request: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await all_tried.wait()
        inside -= 1

    stage.models.before = work
    workers = [asyncio.create_task(stage.work(ref)) for _ in range(12)]
    await until(lambda: sum(task.done() for task in workers) >= 11)
    all_tried.set()
    await asyncio.gather(*workers)

    assert most == 1
    assert stage.surface.said == ["All done."]


async def test_nothing_is_claimed_where_nothing_is_due(stage: Stage) -> None:
    ref = await stage.mention()
    await stage.work(ref)

    assert await claims.take(stage.database, stage.configuration, ref, worker=new_id()) is None


async def test_a_lapsed_lease_is_free_again_and_a_renewed_one_is_not(
    stage: Stage, clock: Clock
) -> None:
    ref = await stage.mention()
    first = await stage.claim(ref)
    await clock.advance(seconds=4)
    async with stage.tx() as tx:
        await conversations.renew(tx, first.claim.worker, [ref.id])
    await clock.advance(seconds=4)
    assert await claims.take(stage.database, stage.configuration, ref, worker=new_id()) is None

    await clock.advance(seconds=4)
    second = await stage.claim(ref)

    assert second.claim.epoch == first.claim.epoch + 1
    await clock.advance(seconds=4)
    async with stage.tx() as tx:  # the first wakes up late, and renews what is not its own any more
        await conversations.renew(tx, first.claim.worker, [ref.id])
    await clock.advance(seconds=4)
    assert await claims.take(stage.database, stage.configuration, ref, worker=new_id())


# --- the fence -----------------------------------------------------------------------------------


async def overtaken(stage: Stage, ref: ConversationRef) -> None:
    """Declare whoever holds the conversation dead, and let another worker take it."""
    await stage.lapse(ref)
    await stage.claim(ref)


async def test_a_late_worker_does_not_let_go_of_what_another_holds(stage: Stage) -> None:
    ref = await stage.mention()
    late = await stage.claim(ref)
    await overtaken(stage, ref)

    assert not await claims.release(stage.database, late.claim)
    await claims.release_failed(stage.database, late.claim, after_seconds=0)
    await claims.hand_over(stage.database, late.claim)

    assert await claims.take(stage.database, stage.configuration, ref, worker=new_id()) is None


async def test_a_fence_holds_off_a_claim_until_its_transaction_ends(stage: Stage) -> None:
    """Without the lock, the second worker would claim between the check and the write."""
    ref = await stage.mention()
    work = await stage.claim(ref)
    await stage.lapse(ref)

    async with stage.tx() as tx:  # the first worker is about to write...
        await conversations.fence(tx, work.claim)
        await tx.settle()
        second = asyncio.create_task(stage.claim(ref))
        await until_someone_waits_for(tx)  # ...when the second takes over

    assert (await second).claim.epoch == work.claim.epoch + 1


# --- wakes ---------------------------------------------------------------------------------------


async def test_a_message_between_reading_and_letting_go_is_not_lost(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    await stage.say("one more thing", addressed="followup")

    assert not await claims.release(stage.database, work.claim)

    again = await claims.look_again(stage.database, stage.configuration, work)
    assert [message.text for message in again.unread] == ["please open an issue", "one more thing"]
    assert await claims.release(stage.database, again.claim)


async def test_a_message_during_the_last_model_call_opens_the_next_run(stage: Stage) -> None:
    ref = await stage.mention("first")

    async def say_more(request: object) -> None:
        stage.models.before = None
        await stage.say("second", addressed="followup", by="anna")

    stage.models.before = say_more
    await stage.work(ref)

    second, first = await stage.runs()
    assert (first.request, first.state) == ("first", RunState.DONE)
    assert (second.request, second.state) == ("second", RunState.DONE)
    assert second.requested_by.id == "U0ANNA"
    texts = [request.messages[-1].content for request in stage.models.requests]
    assert [text.count("second") for text in texts] == [0, 1]


async def test_a_guest_does_not_get_in_behind_a_run_that_ends(stage: Stage) -> None:
    """What came too late opens the next run only if its author may ask."""
    ref = await stage.mention("first")
    stage.surface.kinds["U0GUEST"] = "guest"

    async def say_more(request: object) -> None:
        stage.models.before = None
        await stage.say("and delete everything", addressed="followup", by="guest")

    stage.models.before = say_more
    await stage.work(ref)

    assert len(stage.models.requests) == 1
    assert [run.state for run in await stage.runs()] == [RunState.DECLINED, RunState.DONE]


async def test_a_stop_that_comes_too_late_does_not_stop_the_next_run(stage: Stage) -> None:
    ref = await stage.mention("first")

    async def stop(request: object) -> None:
        stage.models.before = None
        await stage.say("stop", addressed="followup")
        await stage.say("second", addressed="followup")

    stage.models.before = stop
    await stage.work(ref)

    assert [(run.request, run.state) for run in await stage.runs()] == [
        ("second", RunState.DONE),
        ("first", RunState.DONE),
    ]


async def test_a_guests_stop_voids_nothing_that_came_too_late(stage: Stage) -> None:
    ref = await stage.mention("first")
    stage.surface.kinds["U0GUEST"] = "guest"

    async def stop(request: object) -> None:
        stage.models.before = None
        await stage.say("second", addressed="followup")
        await stage.say("stop", addressed="followup", by="guest")

    stage.models.before = stop
    await stage.work(ref)

    assert [(run.request, run.state) for run in await stage.runs()] == [
        ("second", RunState.DONE),
        ("first", RunState.DONE),
    ]


async def test_nor_if_the_next_run_is_queued_already(stage: Stage) -> None:
    ref = await stage.mention("first")

    async def stop(request: object) -> None:
        stage.models.before = None
        await stage.say("stop", addressed="followup")

    perform = stage.surface.perform

    async def ask_again(op: Op, where: Thread, *, key: str) -> Receipt:
        if isinstance(op, Say) and len(await stage.runs()) == 1:
            await stage.say("second", addressed="followup")
        return await perform(op, where, key=key)

    stage.models.before = stop
    stage.surface.perform = ask_again  # type: ignore[method-assign]
    await stage.work(ref)

    assert [(run.request, run.state) for run in await stage.runs()] == [
        ("second", RunState.DONE),
        ("first", RunState.DONE),
    ]


async def test_what_is_said_after_a_stop_is_a_request_of_its_own(stage: Stage) -> None:
    ref = await stage.mention("first")
    await stage.say("also that")
    await stage.say("stop")
    await stage.say("rather do this")

    await stage.work(ref)

    assert [(run.request, run.state) for run in await stage.runs()] == [
        ("rather do this", RunState.DONE),
        ("first", RunState.CANCELLED),
    ]
    assert len(stage.models.requests) == 1


async def test_a_guest_who_asks_first_takes_nobody_else_down(stage: Stage) -> None:
    stage.surface.kinds["U0GUEST"] = "guest"
    ref = await stage.mention("a guest asks", by="guest")
    await stage.say("a member asks", by="anna")

    await stage.work(ref)

    assert [(run.request, run.state) for run in await stage.runs()] == [
        ("a member asks", RunState.DONE),
        ("a guest asks", RunState.DECLINED),
    ]


@pytest.mark.parametrize("kind", ["guest", "external", "bot", "deactivated", "unknown"])
async def test_whoever_is_no_member_neither_wakes_nor_steers(stage: Stage, kind: str) -> None:
    stage.surface.kinds["U0OTHER"] = kind  # pyright: ignore[reportArgumentType]
    ref = await stage.mention("ignored request", by="other")
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is RunState.DECLINED
    assert stage.surface.performed == []

    other = await stage.mention("asked", root="root-2")
    await stage.say("ignored steering", by="other", root="root-2")
    await stage.say("stop", by="other", root="root-2")
    await stage.work(other)

    assert (await stage.run_of(other)).state is RunState.DONE
    assert "ignored" not in repr(stage.models.requests)


async def test_a_worker_that_shuts_down_hands_its_run_over(stage: Stage) -> None:
    stage.models.turns = [reply("Reading.", make.READ), reply("All done.")]
    ref = await stage.mention()
    worker = Worker(stage.kit())

    async def stop(key: str) -> None:
        worker.stop()

    stage.tracker.before = stop
    await worker.advance(ref)
    assert (await stage.run_of(ref)).state is RunState.WORKING

    await stage.work(ref)  # at once: nothing has to lapse

    assert stage.surface.said == ["All done."]
    assert len(stage.tracker.reads) == 1


async def test_a_surface_that_is_not_configured_leaves_the_run_queued(stage: Stage) -> None:
    ref = await stage.mention()
    kit = stage.kit()
    nothing = make.without_surfaces(kit)

    assert await turn.advance(nothing, await stage.claim(ref, nothing))
    assert (await stage.run_of(ref)).state is RunState.QUEUED

    await stage.sweep_and_work(ref)
    assert stage.surface.said == ["All done."]
    assert "run.started" in await stage.kinds("run")


async def test_failures_before_a_success_are_forgiven(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    for _ in range(3):
        await claims.release_failed(stage.database, work.claim, after_seconds=0)
        work = await stage.claim(ref)
    assert work.conversation.failures == 3

    work = await claims.look_again(stage.database, stage.configuration, work)

    assert work.conversation.failures == 0
