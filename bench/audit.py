"""What sealing the audit costs for each event, and what verifying it costs: CPU, with a real Postgres.

The events are those of ordinary runs (queued, started, done), written in transactions of their own
before anything is measured. Sealing is measured as a worker does it, with what Postgres uses for it;
verifying as `openloop audit verify --export` does it, from lines of NDJSON and with checkpoints.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

import orjson

from bench.measuring import Figure, Kind, Outcome, exactly, note
from bench.stage import home
from openloop.actions import apply, sealing
from openloop.domain.audit_checkpoint import SigningKey
from openloop.domain.audit_verify import verify
from openloop.storage import checkpoints, seals
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from openloop.testing import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openloop.domain.audit_chain import Entry
    from openloop.domain.audit_verify import Verified
    from openloop.domain.ids import WorkspaceId

EVENTS = 30_000
AT_ONCE = 1_000
PAGE = 2_000
CHECKPOINT_EVERY = 5  # batches of sealing

# The columns that a run's own statements write, and nothing of the seals.
_EVENTS: LiteralString = """
    INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
    SELECT %(workspace)s, (ARRAY['run.queued', 'run.started', 'run.done'])[1 + n %% 3],
        CASE n %% 3 WHEN 0 THEN jsonb_build_object('kind', 'actor', 'name', 'anna', 'principal_id',
            NULL, 'surface', 'slack', 'external_id', 'U0ANNA' || n, 'via', 'slack')
        ELSE jsonb_build_object('kind', 'agent', 'name', 'dev-platform', 'principal_id', NULL,
            'surface', '', 'external_id', '', 'via', '') END,
        run, run, CASE n %% 3
            WHEN 0 THEN jsonb_build_object('conversation', run, 'link', 'https://slack.example/' || n)
            WHEN 1 THEN jsonb_build_object('model', 'scripted/assistant', 'revision', run)
            ELSE jsonb_build_object('outcome', 'answered', 'model', 'scripted/assistant') END
    FROM generate_series(1, %(many)s) AS n, gen_random_uuid() AS run
"""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU of this process and of Postgres, in seconds."""

    own: float
    postgres: float

    def per_event(self, events: int) -> tuple[float, float]:
        """Microseconds."""
        return self.own / events * 1e6, self.postgres / events * 1e6


class _Meter:
    """CPU since it was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own, self._postgres = time.process_time(), self._of_postgres()

    def read(self) -> Used:
        own = time.process_time() - self._own
        return Used(own, self._of_postgres() - self._postgres)

    def _of_postgres(self) -> float:
        found = processes.by_role(processes.of_home(self._folder).values())
        return sum(process.cpu_seconds for process in found["postgres"])


async def measure() -> Outcome:
    """Write, seal, export and verify."""
    async with home() as folder:
        embedded = EmbeddedPostgres(folder)
        running = await asyncio.to_thread(embedded.start)
        database = Database(running.dsn, size=2, name="bench-audit")
        try:
            await migrate(running.dsn)
            await database.open()
            workspace = await apply.ensure_workspace(database, "acme")
            return await _measure(database, workspace, folder)
        finally:
            await database.close()
            await asyncio.to_thread(embedded.leave)


async def _measure(database: Database, workspace: WorkspaceId, folder: Path) -> Outcome:
    for _ in range(EVENTS // AT_ONCE):
        async with database.transaction(workspace) as tx:
            await tx.run(_EVENTS, {"workspace": workspace, "many": AT_ONCE})
    key = SigningKey.new()
    meter = _Meter(folder)
    batches = await _seal(database, workspace, key)
    sealing_used = meter.read()

    meter = _Meter(folder)
    entries = await _entries(database, workspace)
    reading_used = meter.read()
    lines = [orjson.dumps(entry) for entry in entries]
    async with database.transaction(workspace) as tx:
        documents = [row.document for row in await checkpoints.list_after(tx, 0, limit=10_000)]
    del entries

    began = time.process_time()
    verified = verify(workspace, _read(lines), elsewhere={"outside": documents})
    offline = (time.process_time() - began) / EVENTS * 1e6
    tampered = verify(workspace, _edited(lines), elsewhere={"outside": documents})
    own, postgres = sealing_used.per_event(EVENTS)
    reading = reading_used.per_event(EVENTS)
    return Outcome(
        figures=[
            exactly("events sealed", verified.seq, EVENTS),
            exactly("findings in an untouched record", len(verified.findings), 0),
            exactly("one letter of one event changed: findings", _changed(tampered), 1),
            Figure(
                name="sealing, CPU per event, worker and Postgres",
                kind=Kind.CPU,
                measured=(own + postgres) / 1000,
                unit="ms",
                at_most=0.15,
            ),
            note("sealing, CPU per event, worker", own, "us"),
            note("sealing, CPU per event, Postgres", postgres, "us"),
            note("sealing, longest batch", max(batches) * 1000, "ms"),
            Figure(
                name="verifying an export, CPU per event",
                kind=Kind.CPU,
                measured=offline,
                unit="us",
                at_most=15,
            ),
            note("reading the record to verify it, CPU per event, client", reading[0], "us"),
            note("reading the record to verify it, CPU per event, Postgres", reading[1], "us"),
            note("bytes of an export per event", sum(map(len, lines)) / EVENTS),
        ],
        remarks=[
            f"{EVENTS:,} events in batches of {sealing.BATCH}, {len(documents)} checkpoints; "
            "sealing is on no run's path: the rows that a run writes are those of `overhead`",
        ],
    )


async def _seal(database: Database, workspace: WorkspaceId, key: SigningKey) -> list[float]:
    """Seal everything as the sealer does; seconds of each batch."""
    batches: list[float] = []
    more = True
    while more:
        began = time.perf_counter()
        more = (await sealing.seal(database, workspace)).more
        batches.append(time.perf_counter() - began)
        if len(batches) % CHECKPOINT_EVERY == 0 or not more:
            await sealing.make_checkpoint(database, workspace, key, now=True)
    return batches


async def _entries(database: Database, workspace: WorkspaceId) -> list[Entry]:
    found: list[Entry] = []
    while True:
        async with database.transaction(workspace) as tx:
            page = await seals.list_entries(tx, after=len(found), limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found


def _read(lines: list[bytes]) -> Iterator[Entry]:
    for line in lines:
        yield orjson.loads(line)


def _edited(lines: list[bytes]) -> Iterator[Entry]:
    """The same, but for one letter of one event."""
    for number, entry in enumerate(_read(lines)):
        if number == len(lines) // 2 and entry["event"] is not None:
            entry["event"]["kind"] = "run.Done"
        yield entry


def _changed(verified: Verified) -> int:
    return sum(finding.kind in ("changed", "text_changed") for finding in verified.findings)
