"""Attacks on the courier: no op, however broken, holds a thread up; no outage loses a message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.domain.conversation import ConversationRef
from openloop.domain.surface import Receipt, Say
from openloop.runtime.courier import LOOK_UPS, Courier
from openloop.runtime.worker import Worker
from openloop.storage import conversations, outbox
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    import pytest

    from openloop.domain.surface import Op, Thread
    from tests.make import Stage


async def queued(stage: Stage, *texts: str) -> ConversationRef:
    async with stage.tx() as tx:
        conversation = await make.add_conversation(tx, stage.workspace, root="root-1")
        for text in texts:
            await outbox.put(tx, stage.workspace, conversation, Say(markdown=text))
    return ConversationRef(workspace=stage.workspace, id=conversation)


def courier(stage: Stage) -> Courier:
    return stage.kit().courier


async def states(stage: Stage, ref: ConversationRef) -> list[str]:
    return [row.state for row in await stage.outbox(ref)]


# --- an op that a surface cannot carry -----------------------------------------------------------


async def test_an_op_at_which_a_surface_breaks_is_given_up_and_the_next_follows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = stage.surface.perform

    async def broken(op: Op, thread: Thread, *, key: str) -> Receipt:
        if isinstance(op, Say) and op.markdown == "poison":
            raise RecursionError("a bug in a renderer")
        return await perform(op, thread, key=key)

    monkeypatch.setattr(stage.surface, "perform", broken)
    ref = await queued(stage, "poison", "next")

    for _ in range(LOOK_UPS + 2):
        await courier(stage).drain(ref)
        await stage.lapse(ref)

    assert await states(stage, ref) == ["refused", "sent"]
    assert stage.surface.said == ["next"]


async def test_a_look_up_at_which_a_surface_breaks_repeats_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(op: Op, thread: Thread, *, key: str) -> Receipt:
        raise KeyError("ts")

    monkeypatch.setattr(stage.surface, "look_up", broken)
    stage.surface.answers = ["lost"]
    ref = await queued(stage, "once", "next")

    for _ in range(LOOK_UPS + 2):
        await courier(stage).drain(ref)
        await stage.lapse(ref)

    assert stage.surface.said == ["once", "next"]
    assert len(stage.surface.performed) == 2


async def test_a_run_goes_on_where_its_status_breaks_the_surface(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = stage.surface.perform

    async def broken(op: Op, thread: Thread, *, key: str) -> Receipt:
        if isinstance(op, Say):
            return await perform(op, thread, key=key)
        raise ArithmeticError("a bug in a renderer")

    monkeypatch.setattr(stage.surface, "perform", broken)
    ref = await stage.mention()
    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    assert len(stage.models.requests) == 1


# --- outages -------------------------------------------------------------------------------------


async def test_an_op_that_was_put_off_for_hours_may_still_be_looked_up(stage: Stage) -> None:
    """The token did not work for a day; then the first answer was lost."""
    tries = LOOK_UPS + 5
    stage.surface.answers = [*[Receipt(outcome="retry")] * tries, "lost before"]
    ref = await queued(stage, "important")
    for _ in range(tries + 2):
        await courier(stage).drain(ref)
        await stage.lapse(ref)

    assert stage.surface.said == ["important"]
    assert await states(stage, ref) == ["sent"]


async def test_a_platform_that_is_down_for_a_quarter_of_an_hour_loses_no_message(
    stage: Stage,
) -> None:
    """The answer was lost because it went down, so that it cannot be asked, either."""
    stage.surface.answers = ["lost before"]
    stage.surface.silent_look_ups = 1000
    ref = await queued(stage, "important")
    patience = timedelta()

    while patience < timedelta(minutes=15):
        await courier(stage).drain(ref)
        assert await states(stage, ref) == ["sending"], f"given up after {patience}"
        async with stage.tx() as tx:
            patience += await tx.value("SELECT lease_until - openloop.now() FROM outbox")
        await stage.lapse(ref)
    stage.surface.silent_look_ups = 0
    await courier(stage).drain(ref)

    assert stage.surface.said == ["important"]


async def test_whoever_looks_up_for_long_is_not_overtaken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that look at once both find nothing, and both would send."""
    asked, answer = asyncio.Event(), asyncio.Event()
    look_up = stage.surface.look_up

    async def slow(op: Op, thread: Thread, *, key: str) -> Receipt:
        found = await look_up(op, thread, key=key)
        asked.set()
        await answer.wait()
        return found

    monkeypatch.setattr(stage.surface, "look_up", slow)
    stage.surface.answers = ["lost before"]
    ref = await queued(stage, "once")
    first = courier(stage)
    await first.drain(ref)
    await stage.lapse(ref)
    looking = asyncio.create_task(first.drain(ref))
    async with asyncio.timeout(30):
        await asked.wait()
    await stage.lapse(ref)  # the look-up takes longer than a lease...

    await first.renew()  # ...which is renewed meanwhile
    second = asyncio.create_task(courier(stage).drain(ref))
    await asyncio.wait({second}, timeout=1)
    answer.set()
    await asyncio.gather(looking, second)

    assert stage.surface.said == ["once"]
    assert len(stage.surface.performed) == 2  # the one that was lost, and this one


# --- a conversation that cannot be read ----------------------------------------------------------


async def test_a_conversation_that_cannot_be_read_is_put_off_and_not_tried_all_the_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of an older release that this one cannot read any more, for instance."""
    ref = await stage.mention()

    async def broken(*_: object) -> object:
        raise LookupError("a revision that cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(stage.configuration, "governing", broken)
        await Worker(stage.kit()).advance(ref)
        async with stage.tx() as tx:
            assert await conversations.list_due(tx, stage.workspace, limit=9) == []
    stage.models.turns = [reply("All done.")]

    await stage.sweep_and_work(ref)

    assert stage.surface.said == ["All done."]
