"""A hundred thousand random transactions over several workspaces in one pool: no foreign row.

They are rolled back, fail, are cancelled, and lose their backends; no statement has a predicate for its
workspace. Two controls have to leak: a workspace that is set for the session, and tables without row
security.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from bench.measuring import Figure, Kind, Outcome, exactly, note
from bench.stage import home
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from tests.guarantees.soak import NAME, furnish, session_level, soak

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.guarantees.soak import World

TRANSACTIONS = 100_000
WORKSPACES = 8
CONTROLS = 500
ENDS = ("commit", "rollback", "cancel", "DivisionByZero", "killed")


async def measure() -> Outcome:
    """Soak, then both controls."""
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # it tells of every killed backend
    async with _installation() as (database, superuser):
        world = await furnish(database, superuser, workspaces=WORKSPACES)
        tally = await soak(database, superuser, world, transactions=TRANSACTIONS, at_once=24)
        with session_level():
            session = await soak(database, superuser, world, transactions=CONTROLS)
        unbound = await _without_row_security(database, superuser, world)
    return Outcome(
        figures=[
            exactly("transactions", tally.transactions, TRANSACTIONS),
            exactly("foreign rows that were read or written", tally.foreign_rows, 0),
            exactly("rows seen without a workspace", tally.left_behind, 0),
            note("own rows that were read or written", tally.own_rows),
            *(_some(f"transactions: {end}", tally.ends.get(end, 0)) for end in ENDS),
            _some("control, set for the session: rows left behind", session.left_behind),
            _some("control, no row security: foreign rows", unbound),
        ],
        remarks=[
            f"{WORKSPACES} workspaces with the same ids in all of {len(world.tables)} tables",
        ],
        details={"ends": tally.ends},
    )


def _some(name: str, measured: float) -> Figure:
    return Figure(name=name, kind=Kind.CORRECTNESS, measured=measured, at_least=1)


async def _without_row_security(database: Database, superuser: str, world: World) -> int:
    async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as connection:
        for table in world.tables:
            await connection.execute(
                sql.SQL("ALTER TABLE openloop.{} DISABLE ROW LEVEL SECURITY").format(
                    sql.Identifier(table)
                )
            )
    found = await soak(database, superuser, world, transactions=CONTROLS)
    return found.foreign_rows


@asynccontextmanager
async def _installation() -> AsyncGenerator[tuple[Database, str]]:
    """A database of its own, as the application's pool and as superuser."""
    async with home() as folder:
        postgres = EmbeddedPostgres(folder)
        running = await asyncio.to_thread(postgres.start)
        try:
            await migrate(running.dsn)
            database = Database(running.dsn, size=8, name=NAME)
            await database.open()
            try:
                yield database, running.superuser_dsn
            finally:
                await database.close()
        finally:
            await asyncio.to_thread(postgres.leave)
