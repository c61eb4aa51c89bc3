"""Looking into the product's database as superuser, to hit it where it hurts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from openloop.storage.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

POLL_SECONDS = 0.005


class Watch:
    """One connection that sees every row."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection

    async def value(self, sql: LiteralString) -> Any:
        """The first column of the first row, or None."""
        row = await (await self.connection.execute(sql)).fetchone()
        return None if row is None else row[0]

    async def until(self, sql: LiteralString, *, timeout_seconds: float = 60) -> Any:
        """Wait until the first value is true; answers it.

        Raises:
            TimeoutError
        """
        async with asyncio.timeout(timeout_seconds):
            while not (found := await self.value(sql)):  # noqa: ASYNC110  # rows wake nobody
                await asyncio.sleep(POLL_SECONDS)
        return found


@asynccontextmanager
async def watching(home: Path) -> AsyncGenerator[Watch]:
    """Connect to the embedded Postgres of a home, which stays up meanwhile."""
    embedded = EmbeddedPostgres(home)
    running = await asyncio.to_thread(embedded.start)
    try:
        async with await psycopg.AsyncConnection.connect(
            running.superuser_dsn, autocommit=True
        ) as connection:
            await connection.execute("SET search_path = openloop, procrastinate")
            yield Watch(connection)
    finally:
        await asyncio.to_thread(embedded.leave)
