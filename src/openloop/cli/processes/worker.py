"""The worker process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from openloop import app
from openloop.cli.failures import Exit
from openloop.cli.processes.boot import explained
from openloop.cli.processes.environment import load_settings
from openloop.cli.processes.parent import follow, report_ready
from openloop.cli.processes.signals import on_stop
from openloop.runtime.worker import Worker

if TYPE_CHECKING:
    from openloop.settings import Settings

log = structlog.get_logger(__name__)

DRAIN_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02


def run(*, parent_fd: int | None, ready_fd: int | None, nice: int) -> int:
    """Work until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=False)
    os.nice(nice)
    if parent_fd is not None:
        follow(parent_fd)
    app.set_up_logging(settings.log_level)
    with explained(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(settings, ready_fd))


async def _work(settings: Settings, ready_fd: int | None) -> int:
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with app.build(settings) as application:
        worker = Worker(application.kit, concurrency=settings.concurrency)
        working = asyncio.create_task(worker.run())
        ready = asyncio.create_task(_report(worker, ready_fd))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        worker.stop()
        await asyncio.wait({working}, timeout=DRAIN_SECONDS)
        if not working.done():
            log.warning("not drained in time; the runs go on elsewhere", seconds=DRAIN_SECONDS)
            working.cancel()
            return Exit.FAILURE
        await working
    return Exit.OK


async def _report(worker: Worker, ready_fd: int | None) -> None:
    """Say that wake-ups arrive, as soon as they do."""
    while not worker.queue.is_listening:  # noqa: ASYNC110  # the library has no event for it
        await asyncio.sleep(_LOOK_SECONDS)
    report_ready(ready_fd)
