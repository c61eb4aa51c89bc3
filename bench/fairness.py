"""A neighbour with two thousand runs queued: what it does to a workspace that asks once a second."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.load import exchange
from bench.measuring import Figure, Kind, Outcome, exactly, note, percentile
from bench.stage import MANIFESTS, environment, home, stage
from openloop import app, settings
from openloop.actions import apply
from openloop.domain.audit import SYSTEM
from openloop.domain.manifest import load
from openloop.domain.surface import Actor, Inbound, Place, Thread
from openloop.storage import principals
from openloop.storage.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from bench.load import Exchange
    from bench.stage import Rows, Stage
    from openloop.app import Application
    from openloop.domain.ids import WorkspaceId

LOUD = "loud"
LOUD_RUNS = 2_000
"""As many are queued when the other begins, and some are left when it has its last answer."""
MORE = 1_000
"""Queued beside them, since they are worked off while they are queued, and while the other asks."""
ALONE, BESIDE = 15, 20
_AT_ONCE = 16
_SECONDS = 200


async def measure() -> Outcome:
    """Ask once a second alone, then beside the neighbour's backlog."""
    async with home() as folder:
        database = EmbeddedPostgres(folder)
        async with stage("overhead", database=database) as on, on.rows() as rows:
            dsn = (await asyncio.to_thread(_join, folder)).dsn
            known = settings.load(
                {
                    **environment(on.slack, on.github),
                    "DATABASE_URL": dsn,
                    "OPENLOOP_HOME": str(on.stack.home),
                }
            )
            async with app.build(known) as application:
                loud = await _furnish(application)
                await exchange(on.slack, "warm up")
                alone = await _once_a_second(on, ALONE)
                await _queue(application, loud)
                backlog = await _left(rows, loud)
                beside = await _once_a_second(on, BESIDE)
                left = await _left(rows, loud)
                unanswered = await _unanswered(rows, loud)
        await asyncio.to_thread(database.leave)
    alone_ms, beside_ms = _p95(alone), _p95(beside)
    return Outcome(
        figures=[
            note("mention to answer, alone, p95", alone_ms, "ms"),
            Figure(
                name="mention to answer beside the backlog, p95",
                kind=Kind.WALL,
                measured=beside_ms,
                unit="ms",
                at_most=2 * alone_ms + 200,
            ),
            Figure(
                name="runs of the neighbour queued when it begins",
                kind=Kind.CORRECTNESS,
                measured=backlog,
                at_least=LOUD_RUNS,
            ),
            Figure(
                name="and when it has its last answer",
                kind=Kind.CORRECTNESS,
                measured=left,
                at_least=1,
            ),
            exactly("runs of the neighbour that were never answered", unanswered, 0),
        ],
        remarks=["the target is twice what it takes alone, and 200 ms"],
    )


def _join(folder: Path) -> object:
    return EmbeddedPostgres(folder).start()


async def _furnish(application: Application) -> WorkspaceId:
    """The neighbour: a workspace of its own with the same agent on its console."""
    database = application.database
    workspace = await apply.ensure_workspace(database, LOUD)
    async with database.transaction(workspace) as tx:
        owner = await principals.put(tx, workspace, name="bench", kind="service", roles=())
    governing = None
    for kind in ("workspace", "agent"):
        text = (MANIFESTS / "overhead" / f"{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("acme", LOUD).replace("T0ACME", "T0LOUD")
        text = text.replace('{ type: slack, channel: "#dev-platform" }', "{ type: console }")
        loaded = load(text, name=kind)
        if kind == "workspace":
            await apply.apply_workspace(
                database, workspace, loaded, source=text, by=owner, who=SYSTEM
            )
            governing = loaded.manifest
        else:
            await apply.apply_agent(
                database,
                workspace,
                loaded,
                source=text,
                governed_by=governing,
                world=application.world,
                by=owner,
                who=SYSTEM,
            )
    return workspace


async def _queue(application: Application, workspace: WorkspaceId) -> None:
    """Thousands of threads in which somebody asks."""
    numbers = iter(range(LOUD_RUNS + MORE))

    async def lane() -> None:
        for number in numbers:
            received = await application.intake.take(_asked(number), workspace)
            assert received.run_id is not None, f"nobody took the question: {received.taken}"

    async with asyncio.TaskGroup() as lanes:
        for _ in range(_AT_ONCE):
            lanes.create_task(lane())


def _asked(number: int) -> Inbound:
    name, tenant = str(uuid4()), LOUD
    return Inbound(
        delivery_key=name,
        subject_key=name,
        kind="message",
        thread=Thread(
            place=Place(surface="console", tenant=tenant, container="dev-platform"), root=name
        ),
        actor=Actor(surface="console", tenant=tenant, id=str(uuid4()), name="anna"),
        message_id=name,
        occurred_at=datetime.now(UTC),
        text=f"what do we know about it, question {number}?",
        addressed="dm",
    )


async def _once_a_second(on: Stage, times: int) -> list[Exchange]:
    began = time.perf_counter()
    asked: list[asyncio.Task[Exchange]] = []
    async with asyncio.TaskGroup() as asking:
        for number in range(times):
            await asyncio.sleep(max(0.0, began + number - time.perf_counter()))
            asked.append(asking.create_task(exchange(on.slack, f"what of it, question {number}?")))
    return [task.result() for task in asked]


async def _left(rows: Rows, workspace: WorkspaceId) -> int:
    return await rows.number(
        "SELECT count(*) FROM runs WHERE workspace_id = %s AND state IN ('queued', 'working')",
        [workspace],
    )


async def _unanswered(rows: Rows, workspace: WorkspaceId) -> int:
    """Wait until nothing of the neighbour is under way; how many of its runs have no answer."""
    await rows.until(
        "SELECT count(*) FROM runs WHERE workspace_id = %s AND state IN ('queued', 'working')",
        0,
        [workspace],
        timeout_seconds=_SECONDS,
    )
    answered = await rows.number(
        "SELECT count(*) FROM runs WHERE workspace_id = %s AND outcome = 'answered'", [workspace]
    )
    return LOUD_RUNS + MORE - answered


def _p95(exchanges: list[Exchange]) -> float:
    return percentile([each.seconds * 1000 for each in exchanges], 95)
