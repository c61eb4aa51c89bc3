"""Working off wake-ups: procrastinate's worker, supervised.

After a restart of Postgres its listener can be gone silently, or the worker ends. Both are started
again for ever; meanwhile the sweep finds what is due, so nothing depends on a wake-up arriving.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from procrastinate import App, PsycopgConnector

from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId, WorkspaceId
from openloop.domain.priority import Priority
from openloop.storage.database import configure, unchecked_pool
from openloop.storage.queue import ADVANCE, QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
RESTART_SECONDS = 0.5
LISTENER_CHECK_SECONDS = 1.0


class Queue:
    """Hands every wake-up to `wake` until told to stop. A job is over as soon as it is heard: what is
    to be done is in the rows, so a worker that dies loses nothing by it."""

    def __init__(
        self,
        conninfo: str,
        wake: Callable[[ConversationRef], None],
        *,
        concurrency: int,
    ) -> None:
        self._conninfo = conninfo
        self._wake = wake
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self.is_listening = False

    async def run(self) -> None:
        """Work until `stop`; whatever ends the library's worker, another one is started."""
        while not self._stopping.is_set():
            try:
                await self._work_once()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # the supervisor: recorded, and started again
                log.warning("queue worker ended", error=type(error).__name__)
            self.is_listening = False
            if not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RESTART_SECONDS)

    def stop(self) -> None:
        """Take no more wake-ups; those under way are finished."""
        self._stopping.set()

    async def _work_once(self) -> None:
        connector = PsycopgConnector(
            pool_factory=unchecked_pool,
            conninfo=self._conninfo,
            configure=configure,
            min_size=1,
            max_size=4,
            timeout=4,
            kwargs={
                "application_name": "openloop-queue",
                "connect_timeout": 3,
                "prepare_threshold": 0,
            },
        )
        app = App(connector=connector)

        @app.task(name=ADVANCE, queue=QUEUE)
        async def advance(workspace: str, conversation: str, priority: int = 0) -> None:
            self._wake(
                ConversationRef(
                    workspace=WorkspaceId(UUID(workspace)),
                    id=ConversationId(UUID(conversation)),
                    priority=Priority(priority),
                )
            )

        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._concurrency,
                    fetch_job_polling_interval=POLL_SECONDS,
                    delete_jobs="always",
                    install_signal_handlers=False,
                )
            )
            self.is_listening = True
            stopper = asyncio.create_task(self._stopping.wait())
            listener = asyncio.create_task(self._watch_listener())
            try:
                await asyncio.wait({worker, stopper, listener}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (stopper, listener):
                    task.cancel()
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker

    async def _watch_listener(self) -> None:
        """End when the library's listener is gone, which it does not always say."""
        while True:
            await asyncio.sleep(LISTENER_CHECK_SECONDS)
            self.is_listening = any(
                task.get_name() == "listener" and not task.done() for task in asyncio.all_tasks()
            )
            if not self.is_listening:
                log.warning("queue listener is gone, starting it again")
                return
