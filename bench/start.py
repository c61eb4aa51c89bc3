"""From `openloop up` to ready: the whole, its database part, the model gateway, and its weight."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from typing import TYPE_CHECKING

import aiohttp

from bench import rigs
from bench.load import closed_loop
from bench.measuring import Figure, Kind, Outcome, exactly, median, note
from bench.stage import MANIFESTS, PEOPLE, environment, home, stage
from bench.waiting import until
from openloop.testing.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

STARTS = 5
VERSIONS = 7
RUNS = 40
GATEWAY_SECONDS = 60
ROLES = ("serve", "worker", "gateway", "up")

_LOOK_SECONDS = 0.05
_MEGABYTE = 1_000_000
_PROGRESS = re.compile(r"^ *(\d+\.\d) s  (.+)$", re.MULTILINE)

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
    version = median([await _version_cpu_ms() for _ in range(VERSIONS)])
    scripted, details = await _scripted()
    return Outcome(
        figures=[
            *scripted,
            *await _with_litellm(),
            Figure(
                name="`openloop --version`, CPU, median of 7",
                kind=Kind.CPU,
                measured=version,
                unit="ms",
                at_most=150,
            ),
        ],
        remarks=["memory is resident, with the pages that processes share counted in each"],
        details=details,
    )


async def _scripted() -> tuple[list[Figure], dict[str, object]]:
    """Scripted models only: litellm is not loaded."""
    warm: list[float] = []
    database: list[float] = []
    async with stage("overhead") as on:
        for _ in range(STARTS):
            await on.idle()
            await on.stack.stop()
            database.append(await _database_seconds(on.stack.home))
            began = time.perf_counter()
            await on.stack.start()
            warm.append(time.perf_counter() - began)
        when_ready = on.stack.rss_bytes("serve") / _MEGABYTE
        await closed_loop(on, in_flight=5, runs=RUNS, text=lambda number: f"question {number}")
        megabytes = {role: on.stack.rss_bytes(role) / _MEGABYTE for role in ROLES}
        progress = _PROGRESS.findall(on.stack.tail(200))
    figures = [
        _wall("start to ready, warm, median of 5", median(warm), 3),
        _wall("Postgres up and migrated, warm, median of 5", median(database), 1),
        Figure(
            name=f"serve, memory after {RUNS} runs",
            kind=Kind.MEMORY,
            measured=megabytes["serve"],
            unit="MB",
            at_most=150,
        ),
        note("serve, memory when ready", when_ready, "MB"),
        *(note(f"{role}, memory", megabytes[role], "MB") for role in ROLES[1:]),
    ]
    return figures, {"warm_seconds": warm, "database_seconds": database, "progress": progress}


async def _with_litellm() -> list[Figure]:
    """A provider's key is set, so the gateway loads litellm while everything else gets ready."""
    async with home() as folder, rigs.slack_rig() as slack, rigs.github_rig() as github:
        variables = environment(slack, github) | {"OPENAI_API_KEY": "sk-bench"}
        stack = Stack(home=folder, manifests=MANIFESTS / "start", environ=variables)
        await slack.furnish(PEOPLE, deliver_to=stack.events_url)
        began = time.perf_counter()
        async with stack:
            ready = time.perf_counter() - began
            then = await _models(stack)
            await until(
                lambda: _has_models(stack),
                timeout_seconds=GATEWAY_SECONDS,
                every_seconds=_LOOK_SECONDS,
            )
            loaded = time.perf_counter() - began
            megabytes = stack.rss_bytes("gateway") / _MEGABYTE
    return [
        _wall("start to models ready, with litellm", loaded, 12),
        exactly("ready while the models were warming", int(then != "ready"), 1),
        note("start to ready meanwhile, on an empty home", ready, "s"),
        note("gateway, memory with litellm", megabytes, "MB"),
    ]


async def _has_models(stack: Stack) -> bool:
    return await _models(stack) == "ready"


async def _models(stack: Stack) -> str:
    """What `/readyz` says of the models."""
    async with aiohttp.request("GET", f"{stack.url}/readyz") as response:
        return (await response.json())["models"]


async def _database_seconds(folder: Path) -> float:
    """Start, migrate and leave the server of a home, in a process that has nothing else to do."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DATABASE, str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return float(output)


async def _version_cpu_ms() -> float:
    """User and system time of `openloop --version`."""
    return await asyncio.to_thread(_cpu_ms, [sys.executable, "-m", "openloop", "--version"])


def _cpu_ms(command: list[str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, dict(os.environ), file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    assert status == 0, f"{command} ended with {status}"
    return (used.ru_utime + used.ru_stime) * 1000


def _wall(name: str, measured: float, limit: float) -> Figure:
    return Figure(name=name, kind=Kind.WALL, measured=measured, unit="s", at_most=limit)
