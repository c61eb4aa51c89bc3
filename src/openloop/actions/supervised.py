"""Work that a process does over and over in the background, and that nothing may end for good.

A process that had lost one of these loops would look well and not be: leases would lapse, votes
would wait for ever. So each is begun again, and what ended it is in the log.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from openloop.domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

RESTART_SECONDS: Final = 5.0


async def keep_doing(name: str, work: Callable[[], Awaitable[None]], every_seconds: float) -> None:
    """Do some work until cancelled, with a pause after each time.

    Where the database is away it is tried again after the pause, and after `RESTART_SECONDS` where
    anything else ended it: an error, and a cancellation from within, too.
    """
    while True:
        repeating = asyncio.create_task(_repeat(name, work, every_seconds), name=name)
        try:
            await asyncio.wait({repeating})
        finally:
            repeating.cancel()
            await asyncio.gather(repeating, return_exceptions=True)
        if not repeating.cancelled():
            log.error("begun again", loop=name, exc_info=repeating.exception())
        await asyncio.sleep(RESTART_SECONDS)


async def _repeat(name: str, work: Callable[[], Awaitable[None]], every_seconds: float) -> None:
    while True:
        try:
            await work()
        except Unavailable as error:
            log.warning("put off", loop=name, reason=str(error))
        await asyncio.sleep(every_seconds)
