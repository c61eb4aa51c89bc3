"""A real Postgres for the tests of an integration, gone afterwards."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from openloop.testing.homes import temporary_home

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def temporary_database() -> AsyncGenerator[Database]:
    """An empty, migrated database in a temporary folder, open as the application role."""
    with temporary_home("openloop-db-") as home:
        postgres = EmbeddedPostgres(home, settings={"fsync": "off"})
        running = await asyncio.to_thread(postgres.start)
        try:
            await migrate(running.dsn)
            database = Database(running.dsn, size=4, name="openloop-test")
            await database.open()
            try:
                yield database
            finally:
                await database.close()
        finally:
            await asyncio.to_thread(postgres.leave)
