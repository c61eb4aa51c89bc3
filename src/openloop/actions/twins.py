"""Twins: one thing that happened, told more than once by a platform (Slack sends a mention twice).

The dedupe keys in Postgres decide. This spares them what this process knows already: a twin waits
for the first, and where that was committed it is a duplicate without a look at the database.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Hashable

KEPT = 4096


class Twins:
    """Which subjects this process is taking in, and which it has committed lately."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._committed: OrderedDict[Hashable, None] = OrderedDict()
        self._underway: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def alone(self, subject: Hashable) -> AsyncGenerator[bool]:
        """Be the only one with this subject in this process; True where it is committed already."""
        while subject in self._underway:
            await self._underway[subject].wait()
        ended = self._underway[subject] = asyncio.Event()
        try:
            yield subject in self._committed
        finally:
            del self._underway[subject]
            ended.set()

    def note(self, subject: Hashable) -> None:
        """The subject's key is committed: whoever tells it again is a twin."""
        self._committed[subject] = None
        if len(self._committed) > self._kept:
            self._committed.popitem(last=False)
