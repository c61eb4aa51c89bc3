"""Connections that outlive a test: what a server process has learned is most of what a test costs.

A new server process reads the catalogue and plans every statement anew, which takes ten times as
long as running it. Nothing of a test stays but that: rows are deleted between tests, and whoever
takes a kept connection sets it up as a new one.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, ClassVar, Self

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from openloop.storage.database import Database, has_spoken

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

FORGET = "UNLISTEN *; SELECT pg_advisory_unlock_all(); CLOSE ALL; RESET ALL"


class KeptConnection(AsyncConnection[Any]):
    """Connects by taking one that is kept, where there is one."""

    idle: ClassVar[dict[int, list[Self]]] = {}
    """By process: one that is forked cannot use its parent's."""

    @classmethod
    async def connect(cls, conninfo: str = "", **arguments: Any) -> Self:
        """A kept connection that is alive, or a new one."""
        idle = cls.idle.get(os.getpid(), [])
        while idle:
            kept = idle.pop()
            if not has_spoken(kept):
                kept.lock = asyncio.Lock()  # the one before belongs to the loop of another test
                return kept
            await kept.close()
        return await super().connect(conninfo, **arguments)

    async def keep(self) -> None:
        """Keep this connection for a test to come."""
        await self.execute(FORGET, prepare=False)
        self.idle.setdefault(os.getpid(), []).append(self)


def close_kept() -> None:
    """Close what is kept of this process."""
    for kept in KeptConnection.idle.pop(os.getpid(), []):
        kept.pgconn.finish()


class KeptDatabase(Database):
    """A database whose connections outlive it."""

    _pool: AsyncConnectionPool[Any]

    def __init__(self, conninfo: str, **arguments: Any) -> None:
        super().__init__(conninfo, **arguments)
        self._pool.connection_class = KeptConnection

    async def close(self) -> None:
        """Keep every connection that nobody uses, and close the rest."""
        for _ in range(self._pool.get_stats().get("pool_available", 0)):
            connection = await self._pool.getconn()
            is_idle = connection.info.transaction_status is TransactionStatus.IDLE
            if is_idle and not has_spoken(connection):
                await connection.keep()
            else:
                await self._pool.putconn(connection)
        await super().close()
