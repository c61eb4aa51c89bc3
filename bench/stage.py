"""The stage of a bench: the product as `up` starts it, the rigs, and a view of the rows."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from bench import rigs
from bench.waiting import until
from openloop.storage.embedded import EmbeddedPostgres
from openloop.testing.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg import AsyncConnection

    from openloop.storage.embedded import Running

MANIFESTS = Path(__file__).resolve().parent / "manifests"
WORKSPACE = "acme"
PEOPLE = ("priya", "anna", "ben")
COUNTED = ("serve", "worker", "gateway", "postgres")
"""The processes whose CPU and memory are the product's."""

_BOUND_SECONDS = 30
_IDLE_SECONDS = 30


@dataclass(slots=True, kw_only=True)
class Stage:
    """The product and everything around it. `superuser` is a libpq URI, so it is never shown."""

    stack: Stack
    slack: rigs.Slack
    github: rigs.GitHub
    superuser: str = field(repr=False)

    @asynccontextmanager
    async def rows(self) -> AsyncGenerator[Rows]:
        """A connection that sees every row and belongs to no process of the product."""
        connection = await psycopg.AsyncConnection.connect(
            self.superuser,
            autocommit=True,
            application_name="bench",
            options="-c search_path=openloop,procrastinate,public",
        )
        async with connection:
            yield Rows(connection)

    async def idle(self) -> None:
        """Wait until nothing is queued, working, claimed or unsent, and the rig delivers nothing.

        Raises:
            TimeoutError
        """
        await self.slack.ask("settled", timeout_seconds=_IDLE_SECONDS)
        async with self.rows() as rows:
            await rows.until(UNDER_WAY, 0, timeout_seconds=_IDLE_SECONDS)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU of the product so far, by process."""
        used = self.stack.cpu_seconds()
        return {role: used[role] for role in COUNTED}


class Rows:
    """Plain queries over all workspaces."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection

    async def all(
        self, sql: LiteralString, parameters: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """Every row."""
        cursor = await self.connection.execute(sql, parameters)
        return await cursor.fetchall()

    async def value(self, sql: LiteralString, parameters: Sequence[object] = ()) -> Any:
        """The first column of the first row."""
        return (await self.all(sql, parameters))[0][0]

    async def number(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        """A count."""
        return int(await self.value(sql, parameters))

    async def until(
        self,
        sql: LiteralString,
        wanted: int,
        parameters: Sequence[object] = (),
        *,
        timeout_seconds: float,
    ) -> None:
        """Ask until a count is this.

        Raises:
            TimeoutError
        """

        async def is_it() -> bool:
            return await self.number(sql, parameters) == wanted

        await until(is_it, timeout_seconds=timeout_seconds)


BOUND: LiteralString = "SELECT count(*) FROM bindings WHERE surface = 'slack'"
UNDER_WAY: LiteralString = """
    SELECT (SELECT count(*) FROM runs WHERE state IN ('queued', 'working'))
         + (SELECT count(*) FROM conversations WHERE claimed_by IS NOT NULL)
         + (SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending'))
"""


@asynccontextmanager
async def stage(
    bench: str,
    *,
    environ: Mapping[str, str] | None = None,
    database: EmbeddedPostgres | None = None,
    time_scale: float = 0.02,
) -> AsyncGenerator[Stage]:
    """Everything started and the agent of `manifests/BENCH` listening in its channel.

    With `database` the product is told to use that server, which is the caller's to leave, and has
    none of its own. `time_scale` shortens the waits between the rig's redeliveries.
    """
    async with (
        home() as folder,
        rigs.slack_rig(time_scale=time_scale) as slack,
        rigs.github_rig() as github,
    ):
        variables = {**environment(slack, github), **(environ or {})}
        running = await asyncio.to_thread(database.start) if database is not None else None
        if running is not None:
            variables["DATABASE_URL"] = running.dsn
        stack = Stack(home=folder, manifests=MANIFESTS / bench, environ=variables)
        await slack.furnish(PEOPLE, deliver_to=stack.events_url)
        async with stack:
            try:
                running = running or await asyncio.to_thread(_addresses, stack)
                made = Stage(
                    stack=stack, slack=slack, github=github, superuser=running.superuser_dsn
                )
                async with made.rows() as rows:
                    await rows.until(BOUND, 1, timeout_seconds=_BOUND_SECONDS)
                yield made
            except BaseException:
                print(f"The product's log ends so:\n{stack.tail()}", file=sys.stderr)
                raise


@asynccontextmanager
async def home() -> AsyncGenerator[Path]:
    """A folder for one installation, gone afterwards; others may pass through it, as Postgres."""
    folder = await asyncio.to_thread(_open_folder)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="openloop-bench-"))
    folder.chmod(0o711)
    return folder


def environment(slack: rigs.Slack, github: rigs.GitHub) -> dict[str, str]:
    """What the product is told of its surroundings."""
    return {
        "OPENLOOP_WORKSPACE": WORKSPACE,
        "OPENLOOP_SCRIPTS": str(MANIFESTS / "scripts"),
        "OPENLOOP_LOG_LEVEL": "warning",
        "SLACK_BOT_TOKEN": rigs.BOT_TOKEN,
        "SLACK_SIGNING_SECRET": rigs.SIGNING_SECRET,
        "SLACK_API_URL": slack.api_url,
        "GITHUB_TOKEN": rigs.GITHUB_TOKEN,
        "GITHUB_API_URL": github.api_url,
    }


def pids(stack: Stack, *roles: str) -> list[int]:
    """The process ids of these roles."""
    found = stack.pids()
    return [pid for role in roles for pid in found[role]]


def kill(stack: Stack, *roles: str) -> None:
    """Send SIGKILL at once, without waiting for anything."""
    for pid in pids(stack, *roles):
        os.kill(pid, 9)


def _addresses(stack: Stack) -> Running:
    """Join the product's own server for a moment: a lasting share would keep it running."""
    server = EmbeddedPostgres(stack.home)
    running = server.start()
    server.leave()
    return running
