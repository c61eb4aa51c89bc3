"""Numbered SQL files, forward only: one transaction each, checksummed, under an advisory lock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg

from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from psycopg import AsyncConnection

LOCK_KEY = 0x6F6C6D67  # "olmg"

ROLE_STATEMENT = (
    "CREATE ROLE openloop_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE; "
    "GRANT openloop_app TO CURRENT_USER WITH SET TRUE, INHERIT FALSE;"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, text and checksum."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text; a file that was applied must never change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """Every migration of this release, in order."""
    folder = resources.files("openloop.storage") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [
        Migration(int(f.name.split("_", 1)[0]), f.name, f.read_text(encoding="utf-8"))
        for f in files
    ]


async def migrate(conninfo: str) -> list[str]:
    """Bring the database up to date as its owner; returns the names of what was applied.

    Raises:
        Misconfigured: a file changed after it was applied, the database is newer than this
            release, or the role or the extension cannot be made (with the statement to type)
    """
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, connect_timeout=10
    )
    async with connection:
        await connection.execute(
            "SET lock_timeout = '10s'; SET statement_timeout = '60s'; SET row_security = off"
        )
        await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        await _prepare(connection)
        applied = await _applied(connection)
        wanted = shipped()
        _refuse_surprises(applied, wanted)
        return [await _apply(connection, m) for m in wanted if m.number not in applied]


async def pending(connection: AsyncConnection[Any]) -> list[str]:
    """The names of shipped migrations that this database lacks."""
    applied = await _applied(connection)
    return [m.name for m in shipped() if m.number not in applied]


async def _prepare(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'openloop_app')"
    )
    row = await cursor.fetchone()
    if not (row and row[0]):
        await _or_say(connection, ROLE_STATEMENT)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS openloop")
    await connection.execute("SET search_path = openloop, procrastinate, public")
    await connection.execute(
        """
        CREATE TABLE IF NOT EXISTS openloop.schema_migrations (
            number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
        """
    )
    cursor = await connection.execute("SELECT to_regclass('procrastinate.procrastinate_jobs')")
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        await _install_queue(connection)
    await _grant_queue(connection)


async def _install_queue(connection: AsyncConnection[Any]) -> None:
    """procrastinate's own schema under a name of its own, without its history of jobs."""
    async with connection.transaction():
        await connection.execute("CREATE SCHEMA IF NOT EXISTS procrastinate")
        await connection.execute("SET LOCAL search_path = procrastinate")
        schema = resources.files("procrastinate.sql") / "schema.sql"
        await connection.execute(schema.read_text(encoding="utf-8"))  # pyright: ignore[reportCallIssue, reportArgumentType]
        # The history of a job goes with the job, which is deleted when it ends: nobody reads it.
        await connection.execute(
            """
            ALTER TABLE procrastinate_jobs
                DISABLE TRIGGER procrastinate_trigger_status_events_insert_v1,
                DISABLE TRIGGER procrastinate_trigger_status_events_update_v1
            """
        )


async def _grant_queue(connection: AsyncConnection[Any]) -> None:
    await connection.execute(
        """
        GRANT USAGE ON SCHEMA procrastinate TO openloop_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA procrastinate TO openloop_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA procrastinate TO openloop_app;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA procrastinate TO openloop_app
        """
    )


async def _applied(connection: AsyncConnection[Any]) -> dict[int, str]:
    cursor = await connection.execute("SELECT number, checksum FROM openloop.schema_migrations")
    return dict(await cursor.fetchall())


def _refuse_surprises(applied: dict[int, str], wanted: list[Migration]) -> None:
    known = {m.number: m for m in wanted}
    problems = [
        f"{known[number].name} changed after it was applied"
        for number, checksum in applied.items()
        if number in known and known[number].checksum != checksum
    ]
    newer = sorted(set(applied) - set(known))
    if newer:
        problems.append(f"the database has migrations {newer} that this release does not know")
    if problems:
        message = "The database does not fit this release: " + "; ".join(problems)
        raise Misconfigured(message, problems=problems)


async def _apply(connection: AsyncConnection[Any], migration: Migration) -> str:
    async with connection.transaction():
        await connection.execute(migration.sql)  # pyright: ignore[reportCallIssue, reportArgumentType]
        await connection.execute(
            "INSERT INTO openloop.schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.checksum),
        )
    return migration.name


async def _or_say(connection: AsyncConnection[Any], statement: str) -> None:
    try:
        await connection.execute(statement)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except psycopg.errors.InsufficientPrivilege as error:
        message = f"The database role may not do this; run it as a superuser: {statement}"
        raise Misconfigured(message) from error
