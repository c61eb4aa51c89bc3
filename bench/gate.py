"""What a read tool call costs beside the tool: the gate, the journal and the audit around it.

From the model's reply with one call to the tool, and from the tool's result to the end of its step: what
settles the model call stands in the same transaction, and counts. The tool itself answers at once. Then
how much of a run is spent on looking for secrets in what is written.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.measuring import Figure, Kind, Outcome, exactly, note, percentile
from bench.stage import home
from openloop.domain.redaction import Redactor
from openloop.domain.tool import CallContext
from openloop.runtime.turn import advance
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.domain.model import ModelRequest
    from tests.make import Stage

WARM_UP, CALLS = 30, 300
SECRETS = 6
_MS = 1000


class _Timed(Redactor):
    """Measures itself."""

    seconds = 0.0

    def text(self, text: str) -> str:
        began = time.perf_counter()
        clean = super().text(text)
        self.seconds += time.perf_counter() - began
        return clean

    def json(self, written: bytes) -> bytes:
        began = time.perf_counter()
        clean = super().json(written)
        self.seconds += time.perf_counter() - began
        return clean


@dataclass(slots=True)
class _Marks:
    """When the model had answered, and when the tool was called."""

    answered: float = 0.0
    called: float = 0.0
    before: list[float] = field(default_factory=list[float])
    after: list[float] = field(default_factory=list[float])
    direct: list[float] = field(default_factory=list[float])


async def measure() -> Outcome:
    """One call at a time, on a database that is otherwise idle."""
    redactor = _Timed(secrets.token_urlsafe(32) for _ in range(SECRETS))
    async with _stage(redactor) as stage:
        await _calls(stage, WARM_UP)
        marks = await _calls(stage, CALLS)
        redactor.seconds = 0.0
        runs = await _runs(stage, CALLS // 3)
        async with stage.tx() as tx:
            finished = await tx.value("SELECT count(*) FROM runs WHERE outcome = 'answered'")
        reads = len(stage.tracker.reads)
    added = [_MS * (one + other) for one, other in zip(marks.before, marks.after, strict=True)]
    return Outcome(
        figures=[
            Figure(
                name="a read call through gate and journal, p50",
                kind=Kind.WALL,
                measured=percentile(added, 50),
                unit="ms",
                at_most=5,
            ),
            note("the same, p95", percentile(added, 95), "ms"),
            note("of it before the call, p50", _MS * percentile(marks.before, 50), "ms"),
            note("of it after the call, p50", _MS * percentile(marks.after, 50), "ms"),
            note("the tool called directly, p50", _MS * percentile(marks.direct, 50), "ms"),
            exactly("read calls that were made", reads, 2 * (WARM_UP + CALLS) + runs),
            exactly("runs that were answered", finished, runs),
            note("looking for secrets, per run", _MS * redactor.seconds / runs, "ms"),
        ],
        remarks=[f"the redactor knows {SECRETS} secrets"],
    )


async def _calls(stage: Stage, many: int) -> _Marks:
    """Let the model ask for one read each time, and take the times around it."""
    marks = _Marks()

    async def answered(_: ModelRequest) -> None:
        marks.answered = time.perf_counter()

    async def called(_: str) -> None:
        marks.called = time.perf_counter()

    stage.models.turns = [reply("I look.", make.READ)]
    stage.models.after, stage.tracker.before = answered, called
    kit = stage.kit()
    tool = stage.tracker.toolset().tools[1]
    for number in range(many):
        ref = await stage.mention(root=f"call-{many}-{number}")
        work = await stage.claim(ref, kit)
        marks.called = 0.0
        await advance(kit, work)
        ended = time.perf_counter()
        assert marks.called, "the call was not made at once"
        marks.before.append(marks.called - marks.answered)
        marks.after.append(ended - marks.called)
        began = time.perf_counter()
        await tool.call({"repo": "acme/platform", "number": 1}, _context())
        marks.direct.append(time.perf_counter() - began)
    stage.models.after = stage.tracker.before = None
    return marks


def _context() -> CallContext:
    return CallContext(key="bench:1", intended_at=make.NOON)


async def _runs(stage: Stage, many: int) -> int:
    """Whole runs: a question, a read call and an answer."""
    stage.models.turns = [reply("I look.", make.READ), reply("All done.")]
    for number in range(many):
        await stage.work(await stage.mention(root=f"run-{number}"))
    return many


@asynccontextmanager
async def _stage(redactor: Redactor) -> AsyncGenerator[Stage]:
    async with home() as folder:
        postgres = EmbeddedPostgres(folder)
        running = await asyncio.to_thread(postgres.start)
        try:
            await migrate(running.dsn)
            database = Database(running.dsn, size=4, redactor=redactor)
            await database.open()
            try:
                yield await make.stage(database)
            finally:
                await database.close()
        finally:
            await asyncio.to_thread(postgres.leave)
