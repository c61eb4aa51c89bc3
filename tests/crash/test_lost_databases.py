"""A database that goes away and comes back: nothing is lost, nothing doubled, nothing stuck."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.storage.embedded import EmbeddedPostgres
from openloop.testing.story.stage import open_stage
from tests.crash.conftest import MANIFESTS, SCRIPTS, TIME_SCALE
from tests.crash.mentions import answered, answers, mention
from tests.crash.watching import watching

if TYPE_CHECKING:
    from pathlib import Path

    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.stage import Stage
    from tests.crash.watching import Watch

pytestmark = [pytest.mark.slow, pytest.mark.stack]

DOWN_SECONDS = 3.0
BETWEEN_SECONDS = 0.2


async def test_mentions_during_an_outage_are_all_answered_once(home: Path) -> None:
    """The Postgres is the test's own, as a team's would be; it is stopped and started again."""
    postgres = EmbeddedPostgres(home / "apart")
    (home / "apart").mkdir(mode=0o711)
    running = await asyncio.to_thread(postgres.start)
    try:
        async with open_stage(
            home=home / "home",
            manifests=MANIFESTS,
            scripts=SCRIPTS,
            environ={"DATABASE_URL": running.dsn},
            time_scale=TIME_SCALE,
        ) as stage:
            assert stage.stack.pids()["postgres"] == []
            asked = [await mention(stage, f"{number}: hello") for number in range(3)]
            down = asyncio.create_task(_outage(postgres))
            while not down.done():
                asked.append(await mention(stage, f"{len(asked)}: hello"))
                await asyncio.wait([down], timeout=BETWEEN_SECONDS)
            await stage.slack.settled(timeout_seconds=60)
            refused = [d.status for d in stage.slack.deliveries if d.reason is not None]
            assert refused, "the outage met deliveries"
            assert set(refused) == {503}
            assert stage.slack.lost == []
            await answered(stage, asked)
            await stage.stack.stop()
            assert answers(stage, asked) == [["Hello."]] * len(asked)
    finally:
        await asyncio.to_thread(postgres.leave)


async def _outage(postgres: EmbeddedPostgres) -> None:
    await asyncio.to_thread(postgres.leave)
    await asyncio.sleep(DOWN_SECONDS)  # how long it is down is what this is about
    await asyncio.to_thread(postgres.start)


async def test_a_connection_cut_while_a_run_is_finished_leaves_nothing_stuck(stage: Stage) -> None:
    async with watching(stage.stack.home) as watch, watching(stage.stack.home) as lock:
        asked = await _cut_while_finishing(stage, watch, lock)
        await answered(stage, [asked], timeout_seconds=60)
        await watch.until(
            "SELECT count(*) = 0 FROM conversations"
            " WHERE claimed_by IS NOT NULL OR wakes > handled OR wake_at IS NOT NULL"
        )
        await watch.until("SELECT count(*) = 0 FROM outbox WHERE state IN ('queued', 'sending')")
        assert await watch.value("SELECT sum(reserved_usd) FROM budgets") == 0
    await stage.stack.stop()
    assert answers(stage, [asked]) == [["That took a while."]]


async def _cut_while_finishing(stage: Stage, watch: Watch, lock: Watch) -> Message:
    """Hold the audit so that the finishing transaction waits in it, and end its connection there."""
    asked = await mention(stage, "take your time")
    await watch.until("SELECT count(*) FROM steps WHERE kind = 'model' AND state = 'started'")
    async with lock.connection.transaction():
        await lock.connection.execute("LOCK TABLE audit_events IN EXCLUSIVE MODE")
        cut = await watch.until(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND query LIKE '%audit_events%' LIMIT 1"
        )
    assert cut is True
    return asked
