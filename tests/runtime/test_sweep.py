"""The sweep: what a dead worker left behind is found, and what is past its time is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.actions import claims
from openloop.domain.run import RunState
from openloop.domain.surface import Receipt, Say
from openloop.runtime import sweep as sweeping
from openloop.runtime.sweep import Sweep
from openloop.storage import conversations, memories, outbox
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


async def swept(stage: Stage, *, tidy: bool = False) -> list[ConversationRef]:
    """What a sweep hands to the worker."""
    found: list[ConversationRef] = []
    await Sweep(stage.database, stage.configuration, found.append).once(tidy=tidy)
    return found


async def test_a_wake_that_was_lost_is_found(stage: Stage) -> None:
    """A queue job is a wake-up only: without it, the row says that something is to be done."""
    ref = await stage.mention()
    assert await swept(stage) == [ref]
    await stage.work(ref)
    assert await swept(stage) == []


async def test_a_lapsed_lease_is_found_and_a_living_one_is_not(stage: Stage, clock: Clock) -> None:
    ref = await stage.mention()
    await stage.claim(ref)
    assert await swept(stage) == []
    await clock.advance(seconds=7)
    assert await swept(stage) == [ref]


async def test_a_waiting_run_is_left_alone_until_its_time(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await stage.work(ref)
    assert await swept(stage) == []
    await clock.advance(hours=73)
    assert await swept(stage) == [ref]
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is RunState.DONE
    assert await swept(stage) == []


async def test_a_failed_try_waits_for_its_backoff(stage: Stage, clock: Clock) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    await claims.release_failed(stage.database, work.claim, after_seconds=5)
    assert await swept(stage) == []
    await clock.advance(seconds=6)
    assert await swept(stage) == [ref]


async def test_an_op_that_was_not_delivered_is_found_when_it_is_due(
    stage: Stage, clock: Clock
) -> None:
    stage.surface.answers = [Receipt(outcome="retry")] * 3
    ref = await stage.mention()
    await stage.work(ref)
    assert await swept(stage) == []
    await clock.advance(seconds=3)
    assert await swept(stage) == [ref]
    await stage.work(ref)


async def test_a_thread_whose_oldest_op_has_to_wait_is_not_due(stage: Stage) -> None:
    """Else every thread behind a busy platform would be looked at each second, for nothing."""
    ref = await stage.mention()
    await stage.work(ref)
    async with stage.tx() as tx:
        for text in ("first", "second"):
            await outbox.put(tx, stage.workspace, ref.id, Say(markdown=text))
        await tx.run(
            """
            UPDATE outbox SET not_before = openloop.now() + interval '1 minute'
            WHERE op->>'markdown' = 'first'
            """
        )
    assert await swept(stage) == []


async def test_every_workspace_is_swept(database: Database) -> None:
    one = await make.stage(database)
    team = {"integrations": {"slack": {"team": "T0OTHER"}}}
    await make.stage_of(database, one, "other", workspace=team)
    ref = await one.mention()
    assert await swept(one) == [ref]


async def test_a_sweep_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 5)
    refs = [await stage.mention(root=f"root-{n}") for n in range(12)]

    first = await swept(stage)
    assert len(first) == 5
    for ref in first:
        await stage.work(ref)
    second = await swept(stage)

    assert len(second) == 5
    assert not set(first) & set(second)
    assert set(second) < set(refs)


# --- retention -----------------------------------------------------------------------------------


async def remembered(stage: Stage) -> ConversationRef:
    """A run that has noted something and is done."""
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    ref = await stage.mention("we move to Postgres 16")
    await stage.work(ref)
    return ref


async def test_a_memory_past_its_time_is_not_recalled_even_before_the_sweep(
    stage: Stage, clock: Clock
) -> None:
    await remembered(stage)
    await clock.advance(days=89)
    assert len(await recalled(stage)) == 1
    await clock.advance(days=2)
    assert await recalled(stage) == []
    assert await stage.count("memories") == 1

    await swept(stage, tidy=True)
    assert await stage.count("memories") == 0


async def recalled(stage: Stage) -> list[str]:
    """What a new run is told of Postgres."""
    stage.models.turns = [reply("Here.")]
    before = len(stage.models.requests)
    ref = await stage.mention("Postgres?", root=f"again-{before}")
    await stage.work(ref)
    said = stage.models.requests[-1].messages[1].content
    return [line for line in said.splitlines() if line.startswith("- [")]


async def test_the_workspace_may_keep_memories_for_less_long(database: Database) -> None:
    stage = await make.stage(database, workspace={"retention": {"memories_days": 3}})
    await remembered(stage)
    async with stage.tx() as tx:
        [memory] = await memories.list_newest(tx, limit=5)
    assert memory.expires_at is not None
    assert round((memory.expires_at - memory.created_at).total_seconds() / 86_400, 3) == 3


async def test_a_retracted_memory_goes_for_good_after_a_month(stage: Stage, clock: Clock) -> None:
    await remembered(stage)
    async with stage.tx() as tx:
        await tx.run("UPDATE memories SET status = 'retracted'")
    await swept(stage, tidy=True)
    assert await stage.count("memories") == 1
    await clock.advance(days=31)
    await swept(stage, tidy=True)
    assert await stage.count("memories") == 0


async def test_texts_are_emptied_and_what_happened_stays_on_record(
    stage: Stage, clock: Clock
) -> None:
    ref = await remembered(stage)
    await clock.advance(days=29)
    await swept(stage, tidy=True)
    assert "Postgres" in await texts(stage)

    await clock.advance(days=2)
    await swept(stage, tidy=True)
    async with stage.tx() as tx:
        assert await tx.value("SELECT string_agg(text, '') FROM messages") == ""
    assert (await stage.run_of(ref)).request == ""
    assert "Postgres" in await texts(stage)  # payloads are kept for longer

    await clock.advance(days=60)
    await swept(stage, tidy=True)
    assert "Postgres" not in await texts(stage)
    assert [step.seq for step in await stage.steps(await stage.run_of(ref))] == [0, 1, 2, 3]


async def texts(stage: Stage) -> str:
    """Everything that steps and messages hold."""
    async with stage.tx() as tx:
        return await tx.value(
            """
            SELECT coalesce((SELECT string_agg(input::text || coalesce(output::text, ''), '') FROM steps), '')
                || coalesce((SELECT string_agg(text, '') FROM messages), '')
            """
        )


async def test_the_journal_of_a_run_that_waits_is_not_emptied(stage: Stage, clock: Clock) -> None:
    """However long people take to say what became of a lost answer, the run can go on."""
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    await stage.work(ref)
    await clock.advance(days=200)
    await swept(stage, tidy=True)

    await stage.press("happened", by="anna")
    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.DONE
    assert stage.surface.said == ["All done."]


async def test_keys_are_kept_as_long_as_platforms_redeliver(stage: Stage, clock: Clock) -> None:
    said = make.inbound()
    await stage.take(said)
    await clock.advance(days=89)
    await swept(stage, tidy=True)
    assert (await stage.take(said)).taken == "duplicate"
    await clock.advance(days=2)
    await swept(stage, tidy=True)
    assert await stage.count("taken_keys") == 0


async def test_a_due_conversation_is_found_once(stage: Stage, clock: Clock) -> None:
    """It is due in several ways at once: woken, timed, and with an open op."""
    ref = await stage.mention()
    async with stage.tx() as tx:
        await outbox.put(tx, stage.workspace, ref.id, Say(markdown="x"))
        await tx.run("UPDATE conversations SET wake_at = openloop.now()")
        await conversations.bump(tx, ref.id)
    await clock.advance(seconds=1)
    assert await swept(stage) == [ref]
