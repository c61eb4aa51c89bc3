"""From `openloop up` to ready: the whole, its database part, the model gateway, and its weight."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import aiohttp

from bench import rigs
from bench.measuring import ROOT, Figure, Kind, Outcome, exactly, median, note
from bench.stage import MANIFESTS, PEOPLE, environment, home, stage
from openloop.testing.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

STARTS = 5
VERSIONS = 7
GATEWAY_SECONDS = 60
_LOOK_SECONDS = 0.02
_MEGABYTE = 1_000_000

_DATABASE = """
import asyncio, sys, time
from pathlib import Path
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
began = time.perf_counter()
server = EmbeddedPostgres(Path(sys.argv[1]))
asyncio.run(migrate(server.start().dsn))
print(time.perf_counter() - began)
server.leave()
"""


async def measure() -> Outcome:
    """Start it often on one home, once cold; then with a real model's key beside it."""
    version = median([_version_cpu_ms() for _ in range(VERSIONS)])
    cold, warm, database, idle_rss, rss = await _scripted()
    ready, models, states = await _with_litellm()
    return Outcome(
        figures=[
            _wall("start to ready, warm, median of 5", median(warm), 3),
            note("start to ready, on an empty home", cold, "s"),
            _wall("of it: Postgres up and migrated, median of 5", median(database), 1),
            _wall("start to models ready, litellm loaded", models, 12),
            _wall("start to ready beside it", ready, 3),
            exactly("ready before the models are", int(ready < models), 1),
            Figure(
                name="`openloop --version`, CPU",
                kind=Kind.CPU,
                measured=version,
                unit="ms",
                at_most=150,
            ),
            Figure(
                name="serve, resident memory after 40 runs",
                kind=Kind.MEMORY,
                measured=rss["serve"],
                unit="MB",
                at_most=150,
            ),
            note("serve, resident memory when ready", idle_rss, "MB"),
            *(note(f"{r}, resident memory", rss[r], "MB") for r in ("worker", "gateway", "up")),
        ],
        details={"warm_seconds": warm, "database_seconds": database, "model_states": states},
    )


async def _scripted() -> tuple[float, list[float], list[float], float, dict[str, float]]:
    from bench.load import closed_loop

    warm: list[float] = []
    database: list[float] = []
    began = time.perf_counter()
    async with stage("overhead") as on:
        cold = time.perf_counter() - began
        for _ in range(STARTS):
            await on.stack.stop()
            database.append(await asyncio.to_thread(_database_seconds, on.stack.home))
            began = time.perf_counter()
            await on.stack.start()
            warm.append(time.perf_counter() - began)
        idle = on.stack.rss_bytes("serve") / _MEGABYTE
        await closed_loop(on, in_flight=5, runs=40, text=lambda number: f"question {number}")
        roles = ("serve", "worker", "gateway", "up")
        rss = {role: on.stack.rss_bytes(role) / _MEGABYTE for role in roles}
    return cold, warm, database, idle, rss
