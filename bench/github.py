"""A thousand mentions on GitHub, each delivered one to five times and in no order, under kill -9.

GitHub says "not so fast" now and then, and the worker and the server are killed in turn: the worker
three times, the server twice (`KILLED`). What was not taken when it was delivered is found in GitHub's own
list of deliveries. What is promised is counted in two places that do not know each other: in what the
rig received, and in the rows.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psycopg

from bench.measuring import Figure, Kind, Outcome, exactly, note
from bench.stage import home
from openloop.storage.embedded import EmbeddedPostgres
from openloop.testing.story.storm import open_storm

if TYPE_CHECKING:
    from openloop.testing.story.storm import Storm

EVENTS = 1000
KILLED = ("worker", "serve", "worker", "serve", "worker")
_PATIENCE_SECONDS = 420
_COUNTS = """
    SELECT (SELECT count(*) FROM openloop.runs),
           (SELECT count(*) FROM openloop.runs WHERE state = 'done'),
           (SELECT count(*) FROM openloop.messages)
"""


async def measure(events: int = EVENTS) -> Outcome:
    """One storm on one installation."""
    async with home() as folder, open_storm(folder, events=events) as storm:
        began = time.perf_counter()
        storm.limit(events)
        storm.ask(events)
        for number, role in enumerate(KILLED, start=1):
            share = events * number // (len(KILLED) + 2)
            await _answered(storm, share)
            await storm.kill(role)
        await _answered(storm, events)
        seconds = time.perf_counter() - began
        await storm.webhooks.settled(timeout_seconds=_PATIENCE_SECONDS)
        runs, done, others = await asyncio.to_thread(_counted, storm)
    untaken = sum(attempt.status != 200 for attempt in storm.webhooks.attempts)
    return Outcome(
        figures=[
            exactly("mentions answered", storm.answered(), events),
            exactly("runs", runs, events),
            exactly("runs that are done", done, events),
            exactly("messages that steered a run", others, 0),
            exactly("answers and eyes that are doubled", storm.doubled, 0),
            exactly("requests before Retry-After was over", storm.too_early, 0),
            exactly("requests for something that GitHub does not have", len(storm.rig.strays), 0),
            Figure(
                name="times that GitHub refused for being asked too fast",
                kind=Kind.CORRECTNESS,
                measured=storm.refused,
                at_least=1,
            ),
            note("deliveries", len(storm.webhooks.attempts)),
            note("deliveries that nobody took", untaken),
            note("processes killed", len(storm.kills)),
            note("until the last answer", seconds, "s"),
        ]
    )


async def _answered(storm: Storm, count: int) -> None:
    await storm.rig.until(lambda: storm.answered() >= count, timeout_seconds=_PATIENCE_SECONDS)


def _counted(storm: Storm) -> tuple[int, int, int]:
    """Runs, runs that are done, and messages that opened none."""
    server = EmbeddedPostgres(storm.stack.home)
    running = server.start()
    try:
        with psycopg.connect(running.superuser_dsn) as connection:
            runs, done, messages = connection.execute(_COUNTS).fetchone() or (0, 0, 0)
    finally:
        server.leave()
    return runs, done, messages - runs
