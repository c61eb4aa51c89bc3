"""Two hundred callers in four processes on one hot row of money, which die in every gap.

All calls are of one size and charged in full, so exactly as many are admitted as the limit affords,
whoever dies where: a dead caller's reservation is charged when its lease ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from bench.callers import GAPS, SIZE_USD, Orders, written
from bench.measuring import Figure, Kind, exactly, note
from bench.stage import home
from openloop.actions import apply, model_calls
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.domain.audit import SYSTEM
from openloop.domain.conversation import ConversationRef
from openloop.domain.manifest import load, parse_workspace
from openloop.domain.surface import Actor, Inbound, Place, Thread
from openloop.storage import principals
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_agent import NativeTool
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.storage.database import Transaction

CALLERS, PROCESSES = 200, 4
RATE_SECONDS = 8.0
PAIRS_A_SECOND = 120
_AFFORDED_SHARE = 2
_ROOT = Path(__file__).resolve().parent.parent
_TENANT = "T0ACME"
_MOST_TRIES = 8
_AT_ONCE = 2
"""Callers of a process that is to die: so many calls at most are lost with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A workspace whose agent was asked for things in many threads."""

    database: Database
    workspace: WorkspaceId
    refs: list[ConversationRef]

    def orders(self, refs: Sequence[ConversationRef], **changes: object) -> Orders:
        """What a process is to do with these."""
        return Orders(
            dsn=self.database.conninfo,
            workspace=str(self.workspace),
            conversations=[str(ref.id) for ref in refs],
            **changes,  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the rows say in the end, and what was seen on the way."""

    admitted: int
    affordable: int
    kills: int
    states_seen: int
    most_usd: Decimal
    limit_usd: Decimal
    stranded: int
    wrong_rows: int


async def measure() -> list[Figure]:
    """Deaths in every gap of four processes, and how fast they are while nobody dies."""
    async with _database() as database:
        found = await run(await scene(database, CALLERS), [gaps_of(n) for n in range(PROCESSES)])
    async with _database() as database:
        pairs = await rate(await scene(database, CALLERS), seconds=RATE_SECONDS)
    return _figures(found, pairs)


@asynccontextmanager
async def _database() -> AsyncGenerator[Database]:
    """An empty database on a server of its own."""
    async with home() as folder:
        server = EmbeddedPostgres(folder)
        running = await asyncio.to_thread(server.start)
        try:
            await migrate(running.dsn)
            database = Database(running.dsn, size=8, name="bench")
            await database.open()
            yield database
            await database.close()
        finally:
            await asyncio.to_thread(server.leave)


def _figures(found: Found, pairs_a_second: float) -> list[Figure]:
    """What it must show."""
    return [
        exactly("hot row: equal calls admitted", found.admitted, found.affordable),
        Figure(
            name="hot row: most that was settled and reserved at once",
            kind=Kind.CORRECTNESS,
            measured=float(found.most_usd),
            unit="$",
            at_most=float(found.limit_usd),
        ),
        exactly("hot row: reservations stranded after their lease", found.stranded, 0),
        exactly("hot row: rows that are not the sum of their reservations", found.wrong_rows, 0),
        Figure(
            name="hot row: processes that died in a gap",
            kind=Kind.CORRECTNESS,
            measured=found.kills,
            at_least=PROCESSES * len(GAPS),
        ),
        note("hot row: states that were seen", found.states_seen),
        Figure(
            name="hot row: reserve and settle, pairs a second",
            kind=Kind.WALL,
            measured=pairs_a_second,
            at_least=PAIRS_A_SECOND,
        ),
    ]


class World:
    """Every place is there."""

    async def find_place(self, surface: str, name: str) -> Place | str:
        """The place of that name."""
        return Place(surface=surface, tenant=_TENANT, container=name.lstrip("#"))

    async def model_problem(
        self, model: str, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """No model is called."""
        return None

    def tool_problem(
        self, tool: NativeTool, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """No tool is called."""
        return None


async def scene(database: Database, callers: int) -> Scene:
    """A workspace with an agent, and as many queued runs."""
    workspace = await apply.ensure_workspace(database, "acme")
    async with database.transaction(workspace) as tx:
        by = await principals.put(tx, workspace, name="applier", kind="service", roles=())
    manifests = _ROOT / "bench" / "manifests" / "budget"
    shared = (manifests / "workspace.yaml").read_text()
    await apply.apply_workspace(
        database, workspace, load(shared, name="workspace"), source=shared, by=by, who=SYSTEM
    )
    own = (manifests / "agent.yaml").read_text()
    await apply.apply_agent(
        database,
        workspace,
        load(own, name="agent"),
        source=own,
        governed_by=parse_workspace(shared, name="workspace"),
        world=World(),
        by=by,
        who=SYSTEM,
    )
    intake = Intake(database, Configuration())
    refs: list[ConversationRef] = []
    for number in range(callers):
        received = await intake.take(_mention(number), workspace)
        assert received.conversation is not None
        refs.append(received.conversation)
    return Scene(database=database, workspace=workspace, refs=refs)


def gaps_of(number: int) -> list[str]:
    """Every gap, for each process in another order."""
    return [*GAPS[number:], *GAPS[:number]]


async def run(scene: Scene, gaps: Sequence[Sequence[str]]) -> Found:
    """Let all callers call, in a process for each of `gaps` that dies there, and read the rows."""
    processes = len(gaps)
    affordable = len(scene.refs) // _AFFORDED_SHARE
    limit = SIZE_USD * affordable + SIZE_USD / 5  # what is over affords no answer worth having
    over = asyncio.Event()
    watching = asyncio.create_task(_watch(scene, over))
    shares = [scene.refs[number::processes] for number in range(processes)]
    try:
        await asyncio.gather(
            *(_die(scene, share, str(limit), own) for share, own in zip(shares, gaps, strict=True))
        )
        await asyncio.gather(*(_live(scene, share, str(limit)) for share in shares))
    finally:
        over.set()
        states = await watching
    async with scene.database.transaction(scene.workspace) as tx:
        admitted = await tx.value("SELECT count(*) FROM reservations")
        stranded = await tx.value("SELECT count(*) FROM reservations WHERE state = 'held'")
        wrong = await tx.value(_WRONG_ROWS)
    return Found(
        admitted=admitted,
        affordable=affordable,
        kills=sum(map(len, gaps)),
        states_seen=len(states),
        most_usd=max(states),
        limit_usd=limit,
        stranded=stranded,
        wrong_rows=wrong,
    )


async def _die(scene: Scene, refs: list[ConversationRef], limit: str, gaps: Sequence[str]) -> None:
    """One process after the other, two callers in each, until one has died in every gap."""
    for gap in gaps:
        for _ in range(_MOST_TRIES):  # others may have counted the row that this one was to count
            waiting = await _not_over(scene, refs)
            status, _ = await _spawn(scene.orders(waiting[:_AT_ONCE], limit_usd=limit, gap=gap))
            await _let_lapse(scene, refs)
            if status < 0:
                break
        else:
            message = f"a process that never came to the gap {gap!r}"
            raise AssertionError(message)


async def _live(scene: Scene, refs: list[ConversationRef], limit: str) -> None:
    """All callers of a process at once, until each was answered or refused for good."""
    for _ in range(_MOST_TRIES):
        waiting = await _not_over(scene, refs)
        _, said = await _spawn(scene.orders(waiting, limit_usd=limit))
        await _let_lapse(scene, refs)
        if said["left"] == 0:
            return
    message = "callers that never ended"
    raise AssertionError(message)


async def _not_over(scene: Scene, refs: list[ConversationRef]) -> list[ConversationRef]:
    async with scene.database.transaction(scene.workspace) as tx:
        found = await tx.tuples(
            """
            SELECT conversation_id FROM runs
            WHERE conversation_id = ANY(%(ids)s) AND state IN ('queued', 'working')
            """,
            {"ids": [ref.id for ref in refs]},
        )
    active = {row[0] for row in found}
    return [ref for ref in refs if ref.id in active]


async def _spawn(orders: Orders) -> tuple[int, dict[str, int]]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.callers",
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate(written(orders))
    status = child.returncode
    assert status is not None
    assert status in (0, -9), f"a caller's process ended with {status}"
    return status, json.loads(said) if status == 0 else {}


async def _let_lapse(scene: Scene, refs: list[ConversationRef]) -> None:
    """The leases of what a process left behind end now, and what it had reserved is settled."""
    ids = [ref.id for ref in refs]
    async with scene.database.transaction(scene.workspace) as tx:
        await tx.run(
            """
            UPDATE reservations SET lease_until = openloop.now() - interval '1 second'
            WHERE state = 'held' AND run_id IN (SELECT id FROM runs WHERE conversation_id = ANY(%(ids)s))
            """,
            {"ids": ids},
        )
        await tx.run(
            """
            UPDATE conversations SET wake_at = openloop.now(), lease_until = CASE
                WHEN claimed_by IS NOT NULL THEN openloop.now() - interval '1 second' END
            WHERE id = ANY(%(ids)s)
              AND id IN (SELECT conversation_id FROM runs WHERE state IN ('queued', 'working'))
            """,
            {"ids": ids},
        )
    await model_calls.settle_lapsed(scene.database, scene.workspace, limit=1000)


async def rate(scene: Scene, *, seconds: float, processes: int = PROCESSES) -> float:
    """Pairs of reserving and settling in a second, all on one row."""
    shares = [scene.refs[number::processes] for number in range(processes)]
    orders = [scene.orders(share, limit_usd="0", seconds=seconds) for share in shares]
    done = await asyncio.gather(*(_spawn(each) for each in orders))
    return sum(said["pairs"] for _, said in done) / seconds


async def _watch(scene: Scene, over: asyncio.Event) -> set[Decimal]:
    """Every amount that was settled and reserved on the hot row, as others saw it."""
    seen = {Decimal(0)}
    while not over.is_set():
        async with scene.database.transaction(scene.workspace) as tx:
            seen.add(await _spent(tx))
    async with scene.database.transaction(scene.workspace) as tx:
        seen.add(await _spent(tx))
    return seen


async def _spent(tx: Transaction) -> Decimal:
    found = await tx.value(
        "SELECT settled_usd + reserved_usd FROM budgets WHERE axis = 'workspace' AND span = 'month'"
    )
    return found or Decimal(0)


_WRONG_ROWS = """
    SELECT count(*) FROM budgets b CROSS JOIN LATERAL (
        SELECT coalesce(sum(v.amount_usd) FILTER (WHERE v.state = 'settled'), 0) AS settled,
            coalesce(sum(v.amount_usd) FILTER (WHERE v.state = 'held'), 0) AS reserved
        FROM reservations v
        WHERE b.subject IN (v.workspace_id, v.agent_id, v.run_id)
          AND openloop.covers(b.span, b.period, v.day)) s
    WHERE (b.settled_usd, b.reserved_usd, b.overrun_usd) <> (s.settled, s.reserved, 0)
"""


def _mention(number: int) -> Inbound:
    place = Place(surface="slack", tenant=_TENANT, container="dev-platform")
    who = Actor(surface="slack", tenant=_TENANT, id="U0BEN", name="ben")
    key = f"message-{number}"
    return Inbound(
        delivery_key=key,
        subject_key=key,
        kind="message",
        thread=Thread(place=place, root=key),
        actor=who,
        message_id=key,
        occurred_at=datetime.now(UTC),
        text="please",
        typed="please",
        addressed="mention",
        link="",
    )
