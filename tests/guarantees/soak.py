"""Tenancy under load: random transactions over several workspaces, whatever becomes of them.

Every workspace has rows in every table, under the same ids as all others. Transactions read, write, are
rolled back, fail, are cancelled, and lose their backends; each statement comes without any predicate of
its own, so that row security alone is between one workspace and the next.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from openloop.domain.errors import OpenLoopError
from openloop.domain.ids import WorkspaceId, new_id
from openloop.storage import agents, audit, memories, principals, tokens
from openloop.storage import database as doors
from openloop.storage.database import Database
from tests import make
from tests.storage.test_isolation import APPEND_ONLY, tables, with_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence

    from openloop.storage.database import Transaction

    Act = Callable[[Transaction, "World", WorkspaceId, random.Random, "Tally"], Awaitable[None]]

SESSION_LEVEL: LiteralString = "SELECT set_config('openloop.workspace', %s, false)"
NAME = "openloop-soak"
KILLS_EVERY = 100
_SLEEP: LiteralString = "SELECT pg_sleep(0.002)"


@dataclass(slots=True)
class Tally:
    """What was seen."""

    transactions: int = 0
    own_rows: int = 0
    foreign_rows: int = 0
    left_behind: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, end: str) -> None:
        self.ends[end] = self.ends.get(end, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Workspaces that have the same rows, but for whose they are.

    `counts` are the rows of a table in each of them, `answers` those that a query of ours gives.
    """

    workspaces: Sequence[WorkspaceId]
    tables: Sequence[str]
    counts: Mapping[str, int]
    answers: Sequence[int]


async def furnish(database: Database, superuser: str, *, workspaces: int = 5) -> World:
    """One workspace with rows in every table, and copies of all of them for the others."""
    stage = await make.stage(database)
    await with_everything(stage)
    names = await tables(stage)
    others = [WorkspaceId(new_id()) for _ in range(workspaces - 1)]
    async with await psycopg.AsyncConnection.connect(superuser) as connection:
        await connection.execute("SET search_path = openloop")
        await connection.execute("SET session_replication_role = replica")
        for other in others:
            await connection.execute(
                "INSERT INTO workspaces (id, name) VALUES (%(id)s, %(id)s::text)", {"id": other}
            )
            for table in names:
                await _copy(connection, table, stage.workspace, other)
    counts = {table: await stage.count(table) for table in names}
    async with stage.tx() as tx:
        answers = [await ask(tx) for ask in QUERIES]
    assert all(counts.values())
    assert all(answers)
    return World(
        workspaces=[stage.workspace, *others], tables=names, counts=counts, answers=answers
    )


async def _copy(
    connection: psycopg.AsyncConnection[Any], table: str, source: WorkspaceId, to: WorkspaceId
) -> None:
    """Copy the rows of a table; what the server gives or computes is given anew."""
    found = await connection.execute(
        """
        SELECT quote_ident(column_name), data_type = 'uuid' FROM information_schema.columns
        WHERE table_schema = 'openloop' AND table_name = %s AND is_identity = 'NO'
          AND is_generated = 'NEVER'
        """,
        (table,),
    )
    columns = await found.fetchall()
    into = ", ".join(name for name, _ in columns)
    # Some rows are about the workspace itself.
    values = ", ".join(
        f"CASE WHEN {name} = %(source)s THEN %(to)s ELSE {name} END" if is_id else name
        for name, is_id in columns
    )
    await connection.execute(
        f"INSERT INTO {table} ({into}) SELECT {values} FROM {table} "  # noqa: S608  # pyright: ignore
        "WHERE workspace_id = %(source)s",
        {"source": source, "to": to},
    )


async def soak(
    database: Database,
    superuser: str,
    world: World,
    *,
    transactions: int,
    seed: int = 0,
    at_once: int = 16,
    kills_every: int = KILLS_EVERY,
) -> Tally:
    """Run transactions through one pool; `kills_every` of them, one backend is killed."""
    tally = Tally()
    numbers = iter(range(transactions))

    async def work(worker: int) -> None:
        chance = random.Random(f"{seed}:{worker}")
        for _ in numbers:
            await _transaction(database, world, chance, tally)

    async with _killer(superuser, tally, every=kills_every), asyncio.TaskGroup() as working:
        for worker in range(at_once):
            working.create_task(work(worker))
    return tally


async def _transaction(
    database: Database, world: World, chance: random.Random, tally: Tally
) -> None:
    workspace = chance.choice(world.workspaces)
    # One write at most: two that wait for each other would only measure the deadlock's second.
    acts: list[Act] = [chance.choice((_read, _product)) for _ in range(chance.randint(1, 2))]
    acts += [_write] if chance.random() < 0.3 else []
    end = chance.choices(("commit", "rollback", "error", "cancel", "directory"), (8, 4, 2, 3, 3))[0]
    running = asyncio.ensure_future(_run(database, world, workspace, acts, end, chance, tally))
    if end == "cancel":
        await asyncio.sleep(chance.random() * 0.004)
        running.cancel()
    try:
        await running
    except _RolledBack:
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    except (OpenLoopError, psycopg.Error) as error:
        end = type(error).__name__
    tally.transactions += 1
    tally.note(end)


class _RolledBack(Exception):
    """Whoever works in the transaction gives up."""


async def _run(
    database: Database,
    world: World,
    workspace: WorkspaceId,
    acts: Sequence[Act],
    end: str,
    chance: random.Random,
    tally: Tally,
) -> None:
    if end == "directory":  # whoever had this connection before has left nothing on it
        table = chance.choice(world.tables)
        async with database.directory() as tx:
            tally.left_behind += await tx.value(f"SELECT count(*) FROM {table}")  # noqa: S608  # pyright: ignore
        return
    async with database.transaction(workspace) as tx:
        for act in acts:
            await act(tx, world, workspace, chance, tally)
        match end:
            case "rollback":
                raise _RolledBack
            case "error":
                await tx.send("SELECT 1 / 0")
            case "cancel":
                await tx.value(_SLEEP)
            case _:
                pass


async def _read(
    tx: Transaction, world: World, workspace: WorkspaceId, chance: random.Random, tally: Tally
) -> None:
    """Every row of a table, without a predicate."""
    table = chance.choice(world.tables)
    [(own, foreign)] = await tx.tuples(
        f"""
        SELECT count(*) FILTER (WHERE workspace_id = %(workspace)s),
               count(*) FILTER (WHERE workspace_id <> %(workspace)s) FROM {table}
        """,  # noqa: S608  # pyright: ignore
        {"workspace": workspace},
    )
    tally.own_rows += own
    tally.foreign_rows += foreign


async def _write(
    tx: Transaction, world: World, workspace: WorkspaceId, chance: random.Random, tally: Tally
) -> None:
    """Touch every row of a table that may be changed at all, without a predicate."""
    del workspace
    table = chance.choice([each for each in world.tables if each not in APPEND_ONLY])
    touched = await tx.run(f"UPDATE {table} SET workspace_id = workspace_id")  # noqa: S608  # pyright: ignore
    tally.own_rows += touched
    tally.foreign_rows += abs(touched - world.counts[table])


async def _product(
    tx: Transaction, world: World, workspace: WorkspaceId, chance: random.Random, tally: Tally
) -> None:
    """What the product itself asks, as it asks it: every workspace has the same answer."""
    del workspace
    number = chance.randrange(len(QUERIES))
    found = await QUERIES[number](tx)
    tally.own_rows += found
    tally.foreign_rows += abs(found - world.answers[number])


async def _ask_agents(tx: Transaction) -> int:
    return len(await agents.list_agents(tx))


async def _ask_principals(tx: Transaction) -> int:
    return len(await principals.list_all(tx))


async def _ask_tokens(tx: Transaction) -> int:
    return len(await tokens.list_all(tx))


async def _ask_audit(tx: Transaction) -> int:
    return len(await audit.list_newest(tx, limit=500))


async def _ask_memories(tx: Transaction) -> int:
    return len(await memories.list_newest(tx, limit=500))


QUERIES = (_ask_agents, _ask_principals, _ask_tokens, _ask_audit, _ask_memories)


@asynccontextmanager
async def _killer(superuser: str, tally: Tally, *, every: int) -> AsyncGenerator[None]:
    """Kill a backend of the pool now and then, whatever it is doing."""
    async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as connection:

        async def kill() -> None:
            due = every
            while True:
                await asyncio.sleep(0.002)
                if tally.transactions < due:
                    continue
                due = tally.transactions + every
                found = await connection.execute(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = %s ORDER BY state = 'idle', random() LIMIT 1
                    """,
                    (NAME,),
                )
                for _ in await found.fetchall():
                    tally.note("killed")

        killing = asyncio.create_task(kill())
        try:
            yield
        finally:
            killing.cancel()
            await asyncio.wait({killing})


@contextmanager
def session_level() -> Generator[None]:
    """The control: the workspace is set for the session, as many products do. It must leak."""
    before = doors.ENTER
    doors.ENTER = SESSION_LEVEL
    try:
        yield
    finally:
        doors.ENTER = before
