"""The two doors to Postgres: `transaction(workspace)` for tenant rows, `directory()` for the rest.

Pool connections take the role `openloop_app`, which owns nothing and is under row security; the
workspace is set inside each transaction, because a session-level setting would leak to the next
user of a pooled connection (measured, and seen with PgBouncer).
"""

from __future__ import annotations

import select
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, LiteralString, TypeAlias, TypeVar, cast

import psycopg
from psycopg.rows import scalar_row, tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from openloop.domain.errors import LostClaim, Misconfigured, Unavailable
from openloop.domain.redaction import Redactor
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from datetime import datetime

    from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
    from psycopg.rows import AsyncRowFactory

    from openloop.domain.ids import WorkspaceId

T = TypeVar("T")
Parameters: TypeAlias = "Mapping[str, object] | None"

APP_ROLE = "openloop_app"
SEARCH_PATH = "openloop, procrastinate, public"
ENTER: LiteralString = "SELECT set_config('openloop.workspace', %s, true)"
LOST_CLAIM = "OL001"
"""What `openloop.fence` raises."""

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

HOT = (
    *("taken_keys", "bindings", "agents", "conversations", "runs", "messages", "steps", "outbox"),
    *("memories", "budgets", "reservations", "audit_events", "pauses"),
    *("workspace_revisions", "agent_revisions", "procrastinate.procrastinate_jobs"),
)
"""What every run touches. A server process that reads of these tables for the first time takes tens
of milliseconds to learn what they are, which is longer than an acknowledgement may take."""
WARM = "; ".join(f"SELECT FROM {table} WHERE false" for table in HOT)  # constants

DISCONNECTED = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
"""What psycopg raises when the server is gone, starting, or stopping."""


class Pending(Generic[T]):
    """The rows of a statement that was sent: read while the transaction is open, or after it.

    Reading after the commit is what saves the round trip: see `Transaction.ask`.
    """

    def __init__(self, transaction: Transaction, cursor: AsyncCursor[T]) -> None:
        self._transaction, self._cursor = transaction, cursor

    async def first(self) -> T | None:
        """The first row, or None."""
        await self._transaction.settle()
        return await self._cursor.fetchone()

    async def one(self) -> T:
        """The row of a statement that always gives one."""
        found = await self.first()
        assert found is not None  # noqa: S101  # said by whoever wrote the statement
        return found

    async def all(self) -> list[T]:
        """Every row."""
        await self._transaction.settle()
        return await self._cursor.fetchall()

    async def count(self) -> int:
        """The number of rows that the statement touched."""
        await self._transaction.settle()
        return self._cursor.rowcount


class Transaction:
    """An open transaction: the only way to run SQL.

    Statements travel in a pipeline. `send` and `ask` do not wait, and nothing is lost by it: a
    statement that fails makes every later one fail, the commit among them. What waits is `run`,
    `all`, `find`, `value`, `tuples`, and reading a `Pending`. A transaction whose results are all
    read after its end takes one round trip, and holds its locks for no longer than the server works.

    What is known to be secret is taken out of every text and JSON parameter, so that no table keeps it.
    """

    def __init__(
        self, connection: AsyncConnection[Any], pipeline: AsyncPipeline, redactor: Redactor
    ) -> None:
        self.connection = connection
        self._redactor = redactor
        self._pipeline: AsyncPipeline | None = pipeline
        self._is_settled = True

    async def send(self, sql: LiteralString, parameters: Parameters = None) -> None:
        """Execute without waiting; where it fails, the next wait or the commit raises that."""
        self._is_settled = False
        await self.connection.execute(sql, self._clean(parameters))

    async def ask(
        self, kind: type[T], sql: LiteralString, parameters: Parameters = None
    ) -> Pending[T]:
        """Execute without waiting; the rows, as `kind`, can be read now or after the commit."""
        self._is_settled = False
        cursor = self.connection.cursor(row_factory=rows.of(kind))
        await cursor.execute(sql, self._clean(parameters))
        return Pending(self, cursor)

    async def run(self, sql: LiteralString, parameters: Parameters = None) -> int:
        """Execute and return the number of rows it touched."""
        self._is_settled = False
        cursor = await self.connection.execute(sql, self._clean(parameters))
        await self.settle()
        return cursor.rowcount

    async def all(
        self, kind: type[T], sql: LiteralString, parameters: Parameters = None
    ) -> list[T]:
        """Every row, as `kind`."""
        return await self._fetch(rows.of(kind), sql, parameters)

    async def find(
        self, kind: type[T], sql: LiteralString, parameters: Parameters = None
    ) -> T | None:
        """The first row as `kind`, or None."""
        found = await self._fetch(rows.of(kind), sql, parameters)
        return found[0] if found else None

    async def value(self, sql: LiteralString, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        found = await self._fetch(scalar_row, sql, parameters)
        return found[0] if found else None

    async def tuples(
        self, sql: LiteralString, parameters: Parameters = None
    ) -> list[tuple[Any, ...]]:
        """Every row as a plain tuple."""
        return await self._fetch(tuple_row, sql, parameters)

    async def now(self) -> datetime:
        """The database's clock: the only clock that decides anything."""
        return await self.value("SELECT openloop.now()")

    async def settle(self) -> None:
        """Wait for everything that was sent, and raise what failed of it."""
        if self._pipeline is not None and not self._is_settled:
            await self._pipeline.sync()
            self._is_settled = True

    def end(self) -> None:
        """Note that it is committed: what is pending has arrived, and nothing can be sent."""
        self._pipeline = None

    async def _fetch(
        self, factory: AsyncRowFactory[T], sql: LiteralString, parameters: Parameters
    ) -> list[T]:
        self._is_settled = False
        async with self.connection.cursor(row_factory=factory) as cursor:
            await cursor.execute(sql, self._clean(parameters))
            await self.settle()
            return await cursor.fetchall()

    def _clean(self, parameters: Parameters) -> Parameters:
        if parameters is None:
            return None
        return {name: self._clean_value(value) for name, value in parameters.items()}

    def _clean_value(self, value: object) -> object:
        match value:
            case str():
                return self._redactor.text(value)
            case Jsonb(obj=content):
                return Jsonb(content, dumps=self._clean_json)
            case list():
                return [self._clean_value(each) for each in cast("list[object]", value)]
            case _:
                return value

    def _clean_json(self, content: object) -> bytes:
        return self._redactor.json(rows.dumps(content))


class Database:
    """A pool of connections as the application role."""

    def __init__(
        self,
        conninfo: str,
        *,
        size: int = 8,
        name: str = "openloop",
        redactor: Redactor | None = None,
        warm: bool = False,
    ) -> None:
        self.conninfo = conninfo
        self.redactor = redactor or Redactor()
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            conninfo,
            min_size=size if warm else min(2, size),
            max_size=size,
            open=False,
            configure=configure_warm if warm else configure,
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
        async with self._begun(workspace) as tx:
            yield tx

    @asynccontextmanager
    async def directory(self) -> AsyncGenerator[Transaction]:
        """A transaction over the few tables that exist before a workspace is known."""
        async with self._begun(None) as tx:
            yield tx

    @asynccontextmanager
    async def _begun(self, workspace: WorkspaceId | None) -> AsyncGenerator[Transaction]:
        try:
            connection = await self._take()
            try:
                async with connection.pipeline() as pipeline, _drained(pipeline):
                    await connection.execute("BEGIN")
                    if workspace is not None:
                        await connection.execute(ENTER, (str(workspace),))
                    tx = Transaction(connection, pipeline, self.redactor)
                    yield tx
                    committed = await connection.execute("COMMIT")
                    await pipeline.sync()
                tx.end()
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            finally:
                await self._pool.putconn(connection)
        except psycopg.Error as error:
            if error.sqlstate == LOST_CLAIM:
                raise LostClaim(error.diag.message_primary or "") from error
            if isinstance(error, DISCONNECTED):
                message = f"The database cannot be reached, or gave up: {type(error).__name__}"
                raise Unavailable(message) from error
            raise
        if committed.statusmessage != "COMMIT":
            message = "A statement failed and its error was passed over: nothing was committed"
            raise AssertionError(message)

    async def _take(self) -> AsyncConnection[Any]:
        """A connection that is alive.

        After a restart of the server every idle connection is dead, and what is sent on it may or
        may not have happened. An idle server says nothing: one that has said something is asked
        before it is trusted, and if it has gone, so have all: the pool is rid of them.
        """
        for last in (False, False, True):
            connection = await self._pool.getconn()
            if not has_spoken(connection):
                return connection
            try:
                await connection.execute("SELECT", prepare=False)
            except BaseException as error:
                await self._pool.putconn(connection)
                if last or not isinstance(error, DISCONNECTED):
                    raise
                await self._pool.check()
            else:
                return connection
        raise AssertionError("the last try returns or raises")


@asynccontextmanager
async def _drained(pipeline: AsyncPipeline) -> AsyncGenerator[None]:
    """Where something fails, take in what else was sent: it has failed, too."""
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            await pipeline.sync()
        raise


def has_spoken(connection: AsyncConnection[Any]) -> bool:
    """True where something can be read from an idle connection: a farewell, or a notice."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


async def configure(connection: AsyncConnection[Any]) -> None:
    """Make a new connection an ordinary member of the pool."""
    await connection.set_autocommit(True)
    await connection.execute(SETTINGS, prepare=False)


async def configure_warm(connection: AsyncConnection[Any]) -> None:
    """The same, and have its server process look at the tables that matter before anybody waits."""
    await configure(connection)
    await connection.execute(WARM, prepare=False)  # pyright: ignore[reportCallIssue, reportArgumentType]


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
            "or owns tables; make openloop_app an ordinary role (see docs/reference/settings.md)"
        )
        raise Misconfigured(message)
