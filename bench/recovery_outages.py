"""A Postgres that is stopped for ten seconds, and connections that are cut while runs finish."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, LiteralString

from bench import rigs
from bench.measuring import Figure, Kind, exactly, note
from bench.recovered import aftermath, ask_all
from bench.stage import home, stage
from openloop.storage.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from bench.rigs import Said
    from bench.stage import Rows, Stage

PER_SECOND = 10
OUTAGE_SECONDS = 10
AROUND_SECONDS = 2
FINISHING, CUTS = 30, 40
MOST_CUTTING_SECONDS = 6

TIME_SCALE = 0.04
"""Slack tries again at once, after 2.4 s and after 12 s more: the outage outlasts the first two."""

_CUT_SECONDS = (0.005, 0.03)
_PATIENCE_SECONDS = 60

# Every other backend that is in the middle of a statement or a transaction.
_BUSY: LiteralString = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'
      AND application_name <> 'bench'
"""
_EVERYBODY: LiteralString = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND application_name <> 'bench'
"""


async def measure() -> list[Figure]:
    """All on one installation, whose database is not its own."""
    async with home() as folder:
        database = EmbeddedPostgres(folder)
        try:
            async with stage("recovery", database=database, time_scale=TIME_SCALE) as on:
                return [*await _stopped(on, database), *await _cut(on), *await _cut_idle(on)]
        finally:
            await asyncio.to_thread(database.leave)


async def _stopped(on: Stage, database: EmbeddedPostgres) -> list[Figure]:
    """Ten mentions a second; in the middle the database is away for ten seconds."""
    asking = asyncio.create_task(_ask_on(on, 2 * AROUND_SECONDS + OUTAGE_SECONDS))
    await asyncio.sleep(AROUND_SECONDS)
    stopped_at = time.perf_counter()
    await asyncio.to_thread(database.stop_server, mode="fast")
    await asyncio.sleep(OUTAGE_SECONDS - (time.perf_counter() - stopped_at))
    await asyncio.to_thread(database.start)
    back_at = time.perf_counter()
    said = await asking
    after = await aftermath(on, said, timeout_seconds=_PATIENCE_SECONDS)
    acks = (await on.slack.state()).acks
    refused = [ack.status for ack in acks if ack.status != 200]
    return [
        note("Postgres stopped: away for", back_at - stopped_at, "s"),
        note("Postgres stopped: mentions", len(said)),
        Figure(
            name="Postgres stopped: deliveries refused and sent again",
            kind=Kind.CORRECTNESS,
            measured=len(refused),
            at_least=PER_SECOND * OUTAGE_SECONDS,
        ),
        exactly("Postgres stopped: refusals other than 503", sum(s != 503 for s in refused), 0),
        *after.figures("Postgres stopped for 10 s"),
    ]


async def _ask_on(on: Stage, seconds: float) -> list[Said]:
    """Mentions at an even pace, whatever becomes of them."""
    said: list[Said] = []
    began = time.perf_counter()
    while (wait := began + len(said) / PER_SECOND - time.perf_counter()) < seconds:
        await asyncio.sleep(max(0.0, wait))
        said.append(await on.slack.say(f"{rigs.BOT} answer at once", by="ben"))
        if len(said) >= PER_SECOND * seconds:
            break
    return said


async def _cut(on: Stage) -> list[Figure]:
    """Cut connections in the middle of transactions, while thirty runs finish."""
    said = await ask_all(on, ["think shortly"] * FINISHING)
    cuts = await _keep_cutting(on)
    after = await aftermath(on, said, timeout_seconds=_PATIENCE_SECONDS)
    async with on.rows() as rows:
        stuck = await _stuck(rows)
    return [
        Figure(
            name="connections cut: in the middle of a transaction",
            kind=Kind.CORRECTNESS,
            measured=cuts,
            at_least=CUTS / 4,
        ),
        exactly("connections cut: conversations claimed past their lease", stuck, 0),
        *after.figures("connections cut while 30 runs finish"),
    ]


async def _cut_idle(on: Stage) -> list[Figure]:
    """Cut every connection of the pools while nobody works, as a failover does, and then ask."""
    warming = await ask_all(on, ["answer at once"] * FINISHING)
    await aftermath(on, warming, timeout_seconds=_PATIENCE_SECONDS)
    async with on.rows() as rows:
        cut = await rows.number(_EVERYBODY)
    said = await ask_all(on, ["answer at once"])
    after = await aftermath(on, said, timeout_seconds=_PATIENCE_SECONDS / 2)
    return [
        note("connections cut while idle: connections", cut),
        *after.figures("connections cut while idle, then one mention"),
    ]


async def _keep_cutting(on: Stage) -> int:
    """Cut one at a time at random moments, and in the end all at once; how many were at work."""
    choose = random.Random(1)
    cuts = 0
    deadline = time.perf_counter() + MOST_CUTTING_SECONDS
    async with on.rows() as rows:
        while cuts < CUTS and time.perf_counter() < deadline:
            busy = await rows.all(_BUSY)
            if busy:
                await rows.all("SELECT pg_terminate_backend(%s)", choose.choice(busy))
                cuts += 1
            await asyncio.sleep(choose.uniform(*_CUT_SECONDS))
        await rows.all(_EVERYBODY)
    return cuts


async def _stuck(rows: Rows) -> int:
    return await rows.number(
        "SELECT count(*) FROM conversations WHERE claimed_by IS NOT NULL"
        " AND lease_until < openloop.now()"
    )
