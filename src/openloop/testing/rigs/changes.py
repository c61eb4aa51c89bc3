"""Waking those who wait for a rig's state to change, without polling."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """A bell: everyone who waits is woken by the next change."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def announce(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    async def until(self, predicate: Callable[[], T], *, timeout_seconds: float = 30) -> T:
        """Wait for the predicate to be true, asked again after each change; answers its value.

        Raises:
            TimeoutError
        """
        async with asyncio.timeout(timeout_seconds):
            while not (found := predicate()):
                await self.next()
        return found
