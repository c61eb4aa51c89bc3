"""Waiting for what only asking again can tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], Awaitable[bool]],
    *,
    timeout_seconds: float,
    every_seconds: float = 0.02,
) -> None:
    """Ask until it is true.

    Raises:
        TimeoutError
    """
    async with asyncio.timeout(timeout_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(every_seconds)
