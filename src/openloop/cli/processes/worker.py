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
from openloop.cli.processes.parent import report_ready
from openloop.cli.processes.signals import on_stop
from openloop.runtime.destinations.places import read_places
from openloop.runtime.sealer import Sealer
from openloop.runtime.signing import KeyFile
from openloop.runtime.worker import Worker

if TYPE_CHECKING:
    from openloop.settings import Settings

log = structlog.get_logger(__name__)

DRAIN_SECONDS: Final = 30.0
POOL: Final = 5
"""Connections. A worker's transactions are short, and those of the server, which has deadlines, share
the processors with them: more of them make acknowledgements late, and nothing faster."""
_LOOK_SECONDS: Final = 0.02


def run(*, parent_fd: int | None, ready_fd: int | None, nice: int) -> int:
    """Work until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=False)
    os.nice(nice)
    app.set_up_logging(settings.log_level, settings.redactor)
    with explained(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(settings, ready_fd))


async def _work(settings: Settings, ready_fd: int | None) -> int:
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with app.build(settings, pool_size=POOL, warm=True) as application:
        worker = Worker(application.kit, concurrency=settings.concurrency)
        sealer = Sealer(
            application.database,
            KeyFile(settings.signing_key),
            read_places(settings.audit_checkpoints, home=settings.home),
        )
        sealing = asyncio.create_task(sealer.run(), name="sealer")
        working = asyncio.create_task(worker.run())
        ready = asyncio.create_task(_report(worker, ready_fd))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        sealing.cancel()
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
