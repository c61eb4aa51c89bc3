"""Waiting for conditions: bounded, and never for a fixed time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openloop.storage.database import Transaction

AT_MOST_SECONDS = 30.0
STEP_SECONDS = 0.005


async def until_someone_waits_for(tx: Transaction, *, waiters: int = 1) -> None:
    """Return once other connections are blocked by a lock that this open transaction holds.

    What was only sent (`tx.send`, a fence) has to be settled before the others begin: they may be faster.
    """
    async with asyncio.timeout(AT_MOST_SECONDS):
        while await _count_waiting(tx) < waiters:  # noqa: ASYNC110  # a lock fires no event
            await asyncio.sleep(STEP_SECONDS)


async def until(
    predicate: Callable[[], bool | Awaitable[bool]], *, seconds: float = AT_MOST_SECONDS
) -> None:
    """Return once the predicate holds."""
    async with asyncio.timeout(seconds):
        while not await _holds(predicate):  # noqa: ASYNC110  # whatever changes fires no event
            await asyncio.sleep(STEP_SECONDS)


async def _holds(predicate: Callable[[], bool | Awaitable[bool]]) -> bool:
    found = predicate()
    return found if isinstance(found, bool) else await found


async def _count_waiting(tx: Transaction) -> int:
    return await tx.value(
        """
        SELECT count(DISTINCT pid) FROM pg_locks
        WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
        """
    )
