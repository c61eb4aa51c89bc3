"""One comment per thread that says how far a run is, while it takes long enough for that to matter.

It appears when a run has worked for a while, is edited at most every 15 seconds, and is taken away
when something is said. What it says is worth showing now or never: nothing waits for it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from openloop.integrations.github import speech
from openloop.integrations.github.errors import GitHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.domain.surface import Thread
    from openloop.integrations.github.threads import Threads

EVERY_SECONDS = 15.0
MOST_THREADS = 1000

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Shown:
    """What is known of one thread: what to say, where it is said, and who is about to say it."""

    key: str
    text: str
    changed_at: float
    message_id: str | None = None
    is_looked_for: bool = False
    waiting: asyncio.Task[None] | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Progress:
    """The progress comments of this process, by thread."""

    def __init__(
        self,
        threads: Threads,
        *,
        seconds: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads, self._seconds, self._clock = threads, seconds, clock
        self._shown: dict[Thread, _Shown] = {}

    def show(self, thread: Thread, text: str, *, key: str) -> None:
        """Say this when it is time to: the last text counts."""
        shown = self._shown.get(thread)
        if shown is None:
            if len(self._shown) >= MOST_THREADS:
                return
            shown = self._shown[thread] = _Shown(key=key, text=text, changed_at=self._clock())
        shown.text = text
        if shown.waiting is None:
            shown.waiting = asyncio.create_task(self._write_later(thread, shown))

    async def clear(self, thread: Thread) -> None:
        """Take the comment away; one of a process that is gone is looked for, once."""
        shown = self._shown.pop(thread, None)
        if shown is not None and shown.waiting is not None:
            shown.waiting.cancel()
        try:
            if shown is None:
                message_id = await self._threads.find_progress(thread)
            else:
                async with shown.writing:
                    message_id = shown.message_id
            if message_id is not None:
                await self._threads.remove(thread, message_id)
        except GitHubError as error:
            log.info("progress not taken away", reason=str(error))

    async def aclose(self) -> None:
        """Say nothing more."""
        waiting = [shown.waiting for shown in self._shown.values() if shown.waiting is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        self._shown.clear()

    async def _write_later(self, thread: Thread, shown: _Shown) -> None:
        await asyncio.sleep(max(shown.changed_at + self._seconds - self._clock(), 0))
        shown.waiting, text = None, shown.text
        # To be cancelled in the middle of a write would leave a comment that nobody knows of.
        writing = asyncio.ensure_future(self._write(thread, shown, text))
        await asyncio.shield(writing)

    async def _write(self, thread: Thread, shown: _Shown, text: str) -> None:
        body = f"_{speech.plain(text)}_"
        async with shown.writing:
            shown.changed_at = self._clock()
            try:
                if shown.message_id is None and not shown.is_looked_for:
                    shown.message_id = await self._threads.find_progress(thread)
                    shown.is_looked_for = True
                if self._shown.get(thread) is not shown:
                    return
                if shown.message_id is None:
                    shown.message_id = await self._threads.post(
                        thread, body, key=shown.key, kind="progress", part=0
                    )
                else:
                    await self._threads.replace(
                        thread, shown.message_id, body, key=shown.key, kind="progress"
                    )
            except GitHubError as error:
                shown.is_looked_for = False
                log.info("progress not shown", reason=str(error))
