"""The database's clock, put forward by tests and nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from datetime import datetime


class Clock:
    """The database clock of a test: `openloop.now()` replaced by its owner."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._offset = timedelta()

    @property
    def owner(self) -> str:
        """The database's address as its owner."""
        return self._conninfo

    async def advance(self, **units: float) -> None:
        """Let time pass (`hours=2`), for every connection at once."""
        self._offset += timedelta(**units)
        seconds = self._offset.total_seconds()
        await asyncio.to_thread(
            self._replace, f"SELECT clock_timestamp() + make_interval(secs => {seconds})"
        )

    async def stop(self, at: datetime) -> None:
        """Let it be exactly this time from now on."""
        await asyncio.to_thread(self._replace, f"SELECT timestamptz '{at.isoformat()}'")

    def rewind(self) -> None:
        """Begin anew, for another example in the same database."""
        self._offset = timedelta()
        self.restore()

    def restore(self) -> None:
        """Back to the time of production."""
        self._replace("SELECT clock_timestamp()")

    def _replace(self, body: str) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION openloop.now() RETURNS timestamptz "  # pyright: ignore[reportCallIssue, reportArgumentType]
                f"LANGUAGE sql VOLATILE AS $${body}$$"
            )
