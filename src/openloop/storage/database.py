"""The two doors to Postgres: `transaction(workspace)` for tenant rows, `directory()` for the rest.

Pool connections take the role `openloop_app`, which owns nothing and is under row security; the
workspace is set inside each transaction, because a session-level setting would leak to the next
user of a pooled connection (measured, and seen with PgBouncer).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import scalar_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from openloop.domain.errors import Misconfigured, Unavailable
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from datetime import datetime

    from psycopg import AsyncConnection
    from psycopg.rows import AsyncRowFactory

    from openloop.domain.ids import WorkspaceId

T = TypeVar("T")

APP_ROLE = "openloop_app"
SEARCH_PATH = "openloop, procrastinate, public"

# A transaction that holds a budget row or a conversation row must end soon, whatever happens.
SETTINGS: LiteralString = (
    f"SET ROLE {APP_ROLE}; SET search_path = {SEARCH_PATH}; SET statement_timeout = '5s';"
    "SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC';"
    # Every statement is an index look-up: planning it anew for each set of values costs a quarter
    # of the server's time per run (bench/overhead.py).
    "SET plan_cache_mode = 'force_generic_plan';"
    # A fresh database has no statistics, and its planner would read whole tables to hash them.
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)

DISCONNECTED = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
"""What psycopg raises when the server is gone, starting, or stopping."""


class Transaction:
    """An open transaction: the only way to run SQL."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection
        self.is_committed = False

    async def run(self, sql: LiteralString, parameters: Mapping[str, object] | None = None) -> int:
        """Execute and return the number of rows it touched."""
        cursor = await self.connection.execute(sql, parameters)
        return cursor.rowcount

    async def all(
        self, kind: type[T], sql: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> list[T]:
        """Every row, as `kind`."""
        return await self._fetch(rows.of(kind), sql, parameters)

    async def find(
        self, kind: type[T], sql: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> T | None:
        """The first row as `kind`, or None."""
        found = await self._fetch(rows.of(kind), sql, parameters)
        return found[0] if found else None

    async def value(
        self, sql: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> Any:
        """The first column of the first row, or None."""
        found = await self._fetch(scalar_row, sql, parameters)
        return found[0] if found else None

    async def tuples(
        self, sql: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> list[tuple[Any, ...]]:
        """Every row as a plain tuple."""
        return await self._fetch(tuple_row, sql, parameters)

    async def last(
        self, kind: type[T], sql: LiteralString, parameters: Mapping[str, object] | None = None
    ) -> T | None:
        """Run the last statement and commit, in one round trip: the first row as `kind`, or None.

        For rows that everybody wants: they stay locked while the server works, and not while this
        process gets round to asking for the commit.
        """
        async with (
            self.connection.pipeline(),
            self.connection.cursor(row_factory=rows.of(kind)) as cursor,
        ):
            await cursor.execute(sql, parameters)
            await self.connection.execute("COMMIT")
            found = await cursor.fetchone()
        self.is_committed = True
        return found

    async def now(self) -> datetime:
        """The database's clock: the only clock that decides anything."""
        return await self.value("SELECT openloop.now()")

    async def _fetch(
        self,
        factory: AsyncRowFactory[T],
        sql: LiteralString,
        parameters: Mapping[str, object] | None,
    ) -> list[T]:
        async with self.connection.cursor(row_factory=factory) as cursor:
            await cursor.execute(sql, parameters)
            return await cursor.fetchall()


class Database:
    """A pool of connections as the application role."""

    def __init__(self, conninfo: str, *, size: int = 8, name: str = "openloop") -> None:
        self.conninfo = conninfo
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            conninfo,
            min_size=min(2, size),
            max_size=size,
            open=False,
            configure=configure,
            timeout=4,
            kwargs={
                "autocommit": True,
                "application_name": name,
                "connect_timeout": 3,
                "prepare_threshold": 0,  # each statement is parsed and planned once per connection
            },
            name=name,
        )

    async def open(self) -> None:
        """Connect, and refuse a role that row security does not bind."""
        await self._pool.open()
        try:
            await self._pool.wait(timeout=10)
        except PoolTimeout as error:
            message = "Postgres did not accept a connection within 10 s: is it running?"
            raise Unavailable(message) from error
        async with self._pool.connection() as connection:
            await refuse_powerful_role(connection)

    async def close(self) -> None:
        """Give every connection back to the server."""
        await self._pool.close(timeout=2)

    @asynccontextmanager
    async def transaction(self, workspace: WorkspaceId) -> AsyncGenerator[Transaction]:
        """A transaction inside one workspace: no row of another is visible or writable."""
        # The id is a UUID by type, so it can stand in the text: one round trip instead of two.
        begin = f"BEGIN; SELECT set_config('openloop.workspace', '{workspace}', true)"
        async with self._begun(begin) as tx:
            yield tx

    @asynccontextmanager
    async def directory(self) -> AsyncGenerator[Transaction]:
        """A transaction over the few tables that exist before a workspace is known."""
        async with self._begun("BEGIN") as tx:
            yield tx

    @asynccontextmanager
    async def _begun(self, begin: str) -> AsyncGenerator[Transaction]:
        try:
            connection = await self._begin(begin)
            try:
                tx = Transaction(connection)
                yield tx
                if not tx.is_committed:
                    await connection.execute("COMMIT", prepare=False)
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            finally:
                await self._pool.putconn(connection)
        except DISCONNECTED as error:
            message = f"The database cannot be reached: {type(error).__name__}"
            raise Unavailable(message) from error

    async def _begin(self, begin: str) -> AsyncConnection[Any]:
        """A connection with an open transaction.

        After a restart of the server every idle connection is dead. Where BEGIN finds that out
        nothing has happened yet: the pool is rid of dead connections, and a live one is taken.
        """
        for last in (False, False, True):
            connection = await self._pool.getconn()
            try:
                await connection.execute(begin, prepare=False)  # pyright: ignore[reportCallIssue, reportArgumentType]
            except BaseException as error:
                await self._pool.putconn(connection)
                if last or not isinstance(error, DISCONNECTED):
                    raise
                await self._pool.check()
            else:
                return connection
        raise AssertionError("the last try returns or raises")


async def configure(connection: AsyncConnection[Any]) -> None:
    """Make a new connection an ordinary member of the pool."""
    await connection.set_autocommit(True)
    await connection.execute(SETTINGS, prepare=False)


def unchecked_pool(**arguments: Any) -> AsyncConnectionPool[Any]:
    """procrastinate's pool without a round trip before each use: a dead connection ends its worker,
    which is supervised."""
    arguments["check"] = None
    return AsyncConnectionPool(**arguments)


async def refuse_powerful_role(connection: AsyncConnection[Any]) -> None:
    """Row security does not bind superusers, BYPASSRLS roles and owners: refuse to run as one."""
    cursor = await connection.execute(
        """
        SELECT rolname, rolsuper, rolbypassrls,
               EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid
                       AND relnamespace = to_regnamespace('openloop'))
        FROM pg_roles WHERE rolname = current_user
        """
    )
    row = await cursor.fetchone()
    if row is None or any(row[1:]):
        message = (
            f"The application role {row[0] if row else '?'!r} is a superuser, bypasses row security "
            "or owns tables; make openloop_app an ordinary role (see docs/reference/storage.md)"
        )
        raise Misconfigured(message)
