"""The courier: in order, never twice, and nothing dropped because a platform was busy."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.domain.conversation import ConversationRef
from openloop.domain.surface import Ask, Receipt, Say, SetStatus, Settle
from openloop.runtime.courier import LOOK_UPS, Courier
from openloop.storage import outbox
from tests import make
from tests.runtime.fakes import reply
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.outbox import OutboxRow
    from openloop.domain.surface import Op
    from tests.make import Clock, Stage


async def queued(stage: Stage, *ops: Op, root: str = "root-1") -> ConversationRef:
    """A conversation with these ops in its outbox."""
    async with stage.tx() as tx:
        conversation = await make.add_conversation(tx, stage.workspace, root=root)
        for op in ops:
            await outbox.put(tx, stage.workspace, conversation, op)
    return ConversationRef(workspace=stage.workspace, id=conversation)


def courier(stage: Stage) -> Courier:
    """The courier of a worker of its own."""
    return stage.kit().courier


def says(*texts: str) -> list[Say]:
    return [Say(markdown=text) for text in texts]


async def states(stage: Stage, ref: ConversationRef) -> list[str]:
    return [row.state for row in await stage.outbox(ref)]


async def test_ops_of_a_thread_are_sent_in_order(stage: Stage) -> None:
    texts = [f"{n}" for n in range(12)]
    ref = await queued(stage, *says(*texts))

    await courier(stage).drain(ref)

    assert stage.surface.said == texts
    assert await states(stage, ref) == ["sent"] * 12


async def test_the_key_of_an_op_is_the_same_on_every_try(stage: Stage) -> None:
    stage.surface.answers = [Receipt(outcome="retry"), Receipt(outcome="retry")]
    ref = await queued(stage, *says("once"))
    for _ in range(3):
        await courier(stage).drain(ref)
        await stage.lapse(ref)

    [row] = await stage.outbox(ref)
    assert [key for key, _ in stage.surface.performed] == [str(row.id)] * 3
    assert stage.surface.said == ["once"]
    assert row.message_ids == (f"m-{row.id}",)


# --- busy ----------------------------------------------------------------------------------------


async def test_a_busy_platform_keeps_the_order_and_is_not_asked_before_its_time(
    stage: Stage, clock: Clock
) -> None:
    async with stage.tx() as tx:
        later = await tx.now() + timedelta(seconds=30)
    stage.surface.answers = [Receipt(outcome="retry", retry_at=later)]
    ref = await queued(stage, *says("first", "second"))

    await courier(stage).drain(ref)
    assert (stage.surface.said, await states(stage, ref)) == ([], ["queued", "queued"])
    await clock.advance(seconds=28)
    await courier(stage).drain(ref)
    assert len(stage.surface.performed) == 1

    await clock.advance(seconds=3)
    await courier(stage).drain(ref)
    assert stage.surface.said == ["first", "second"]


async def test_without_a_time_it_waits_longer_each_time(stage: Stage) -> None:
    stage.surface.answers = [Receipt(outcome="retry")] * 4
    ref = await queued(stage, *says("patience"))
    waits: list[timedelta] = []
    for _ in range(4):
        await courier(stage).drain(ref)
        async with stage.tx() as tx:
            waits.append(await tx.value("SELECT not_before - openloop.now() FROM outbox"))
        await stage.lapse(ref)

    assert waits == sorted(waits)
    assert waits[0] < timedelta(seconds=1) < waits[-1]
    await courier(stage).drain(ref)
    assert stage.surface.said == ["patience"]


async def test_one_thread_does_not_wait_for_another(stage: Stage) -> None:
    stage.surface.answers = [Receipt(outcome="retry")]
    busy = await queued(stage, *says("busy"))
    free = await queued(stage, *says("free"), root="root-2")

    await courier(stage).drain(busy)
    await courier(stage).drain(free)

    assert stage.surface.said == ["free"]


# --- lost answers --------------------------------------------------------------------------------


async def test_a_lost_answer_is_looked_up_and_not_repeated(stage: Stage) -> None:
    stage.surface.answers = ["lost"]
    ref = await queued(stage, *says("first", "second"))

    await courier(stage).drain(ref)
    assert await states(stage, ref) == ["sending", "queued"]
    await courier(stage).drain(ref)  # too early
    assert len(stage.surface.performed) == 1
    await stage.lapse(ref)
    await courier(stage).drain(ref)

    assert stage.surface.said == ["first", "second"]
    assert len(stage.surface.performed) == 2
    [first, _] = await stage.outbox(ref)
    assert stage.surface.looked_up == [str(first.id)]
    assert first.message_ids == (f"m-{first.id}",)


async def test_what_is_not_there_is_sent_again(stage: Stage) -> None:
    stage.surface.answers = ["lost before"]
    ref = await queued(stage, *says("only once"))

    await courier(stage).drain(ref)
    await stage.lapse(ref)
    await courier(stage).drain(ref)

    assert len(stage.surface.performed) == 2
    assert stage.surface.said == ["only once"]


async def test_a_platform_that_never_says_is_given_up_and_nothing_is_repeated(
    stage: Stage,
) -> None:
    stage.surface.answers = ["lost"]
    stage.surface.silent_look_ups = 1000
    ref = await queued(stage, *says("who knows", "next"))

    for _ in range(LOOK_UPS + 3):
        await courier(stage).drain(ref)
        await stage.lapse(ref)

    assert await states(stage, ref) == ["refused", "sent"]
    assert len(stage.surface.performed) == 2


async def test_what_a_dead_worker_was_sending_is_looked_up(stage: Stage) -> None:
    ref = await queued(stage)
    async with stage.tx() as tx:
        row = await outbox.put(
            tx, stage.workspace, ref.id, Say(markdown="sent"), sender=stage.kit().worker
        )
    stage.surface.posted[str(row.id)] = Say(markdown="sent")

    await courier(stage).drain(ref)
    assert await states(stage, ref) == ["sending"]  # it may still be alive
    await stage.lapse(ref)
    await courier(stage).drain(ref)

    assert stage.surface.performed == []
    assert await states(stage, ref) == ["sent"]


async def test_what_is_refused_is_closed_and_the_next_follows(stage: Stage) -> None:
    stage.surface.answers = [Receipt(outcome="refused", detail="channel_not_found")]
    ref = await queued(stage, *says("never", "next"))

    await courier(stage).drain(ref)

    assert await states(stage, ref) == ["refused", "sent"]
    assert stage.surface.said == ["next"]


@pytest.mark.parametrize("answer", ["lost", Receipt(outcome="retry")])
async def test_a_status_is_shown_now_or_never(stage: Stage, answer: object) -> None:
    stage.surface.answers = [answer]  # pyright: ignore[reportAttributeAccessIssue]
    ref = await queued(stage, SetStatus(text="is working"), *says("done"))

    await courier(stage).drain(ref)

    assert await states(stage, ref) == ["dropped", "sent"]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Receipt(outcome="done", message_ids=("171.9",)), "sent"),
        (Receipt(outcome="refused", detail="missing_scope"), "refused"),
        (Receipt(outcome="retry"), "dropped"),
    ],
)
async def test_a_status_is_closed_with_the_calls_that_were_asked_for_meanwhile(
    stage: Stage, answer: Receipt, state: str
) -> None:
    """The card goes out at once: nothing stands before it any more."""
    stage.surface.answers = [answer]
    stage.models.turns = [reply("I open it.", make.CREATE)]
    ref = await stage.mention()
    await stage.work(ref)

    assert (await states(stage, ref))[:2] == [state, "sent"]
    assert [type(op) for _, op in stage.surface.performed][1] is Ask


async def test_a_surface_that_is_not_configured_keeps_its_ops(stage: Stage) -> None:
    ref = await queued(stage, *says("later"))
    await Courier(stage.database, {}, stage.kit().worker).drain(ref)
    assert await states(stage, ref) == ["queued"]


# --- two couriers --------------------------------------------------------------------------------


async def test_two_couriers_never_send_the_same_op(stage: Stage) -> None:
    stage.surface.gate = asyncio.Event()
    ref = await queued(stage, *says("first", "second"))

    couriers = [asyncio.create_task(courier(stage).drain(ref)) for _ in range(6)]
    await until(lambda: sum(task.done() for task in couriers) == 5)  # one of them is sending
    stage.surface.gate.set()
    await asyncio.gather(*couriers)

    assert [op.markdown for _, op in stage.surface.performed if isinstance(op, Say)] == [
        "first",
        "second",
    ]


async def test_a_courier_waits_for_one_that_is_taking_the_op(stage: Stage) -> None:
    ref = await queued(stage, *says("once"))
    kit = stage.kit()

    async with stage.tx() as tx:  # one courier is taking it...
        taken = await outbox.claim_next(tx, ref.id, sender=kit.worker)
        assert taken is not None
        second = asyncio.create_task(courier(stage).drain(ref))
        await until_someone_waits_for(tx)  # ...when another wants it

    await second
    assert stage.surface.performed == []


async def test_a_courier_that_was_overtaken_records_nothing(stage: Stage) -> None:
    ref = await queued(stage, *says("once"))
    late = stage.kit()
    row = await _taken(stage, ref, late.worker)
    await stage.lapse(ref)
    await courier(stage).drain(ref)
    [sent] = await stage.outbox(ref)

    await late.courier.record(stage.workspace, row, Receipt(outcome="retry"))

    [after] = await stage.outbox(ref)
    assert after == sent
    assert after.state == "sent"


async def _taken(stage: Stage, ref: ConversationRef, worker: UUID) -> OutboxRow:
    async with stage.tx() as tx:
        taken = await outbox.claim_next(tx, ref.id, sender=worker)
    assert taken is not None
    return taken[0]


async def test_an_answer_is_not_sent_before_what_stands_before_it(stage: Stage) -> None:
    """The answer is taken for sending with its commit only where nothing is open."""
    stage.surface.answers = [Receipt(outcome="retry")]
    ref = await stage.mention()
    async with stage.tx() as tx:
        await outbox.put(tx, stage.workspace, ref.id, Say(markdown="before"))

    await stage.work(ref)
    assert stage.surface.said == []
    await stage.lapse(ref)
    await stage.work(ref)

    assert stage.surface.said == ["before", "All done."]


async def test_the_status_of_a_dead_worker_holds_nothing_up(stage: Stage) -> None:
    """The answer of its successor does not wait until the lease of the status has lapsed."""
    ref = await stage.mention()

    async def die(request: object) -> None:
        stage.models.before = None
        raise asyncio.CancelledError

    stage.models.before = die
    stage.surface.gate = asyncio.Event()
    with pytest.raises(asyncio.CancelledError):
        await stage.work(ref)
    stage.surface.gate = None
    assert await states(stage, ref) == ["sending"]
    async with stage.tx() as tx:
        await tx.run("UPDATE conversations SET lease_until = openloop.now() - interval '1 second'")

    await stage.work(ref)

    assert await states(stage, ref) == ["dropped", "sent"]
    assert stage.surface.said == ["All done."]


# --- cards ---------------------------------------------------------------------------------------


async def test_only_copies_that_came_before_are_settled(stage: Stage) -> None:
    ref, _ = await stage.hold()
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    await stage.press("approve", by="anna")
    await stage.work(ref)

    first, second = (key for key, op in stage.surface.posted.items() if op in stage.surface.cards)
    settled = [op.message_id for op in stage.surface.posted.values() if isinstance(op, Settle)]
    assert set(settled) == {f"m-{first}"}

    await stage.press("happened", by="anna")
    await stage.work(ref)
    last = [op.message_id for op in stage.surface.posted.values() if isinstance(op, Settle)]
    assert set(last) == {f"m-{first}", f"m-{second}"}


async def test_a_card_that_was_never_posted_is_not_settled(stage: Stage) -> None:
    stage.surface.answers = [Receipt(outcome="done"), Receipt(outcome="refused")]
    ref = await stage.mention()
    stage.models.turns = [reply("I will.", make.CREATE), reply("All done.")]
    await stage.work(ref)
    assert stage.surface.cards == []

    await stage.say("stop", by="anna")
    await stage.work(ref)

    assert not any(isinstance(op, Settle) for op in stage.surface.posted.values())
    assert "queued" not in await states(stage, ref)
    assert stage.surface.said[-1] == "Stopped, as anna asked."
