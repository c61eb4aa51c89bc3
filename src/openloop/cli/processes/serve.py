"""The serve process."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
import uvloop

from openloop import app
from openloop.cli.failures import Exit, tell
from openloop.cli.manifests import check_files, read_files
from openloop.cli.output import say
from openloop.cli.processes.boot import explained
from openloop.cli.processes.environment import load_settings
from openloop.cli.processes.listening import keep_receiving
from openloop.cli.processes.parent import report_ready
from openloop.cli.processes.ports import BACKLOG, open_port
from openloop.cli.processes.signals import on_stop
from openloop.domain.errors import Invalid, OpenLoopError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from fastapi import FastAPI

    from openloop.app import Application
    from openloop.cli.manifests import File
    from openloop.settings import Settings

_GRACE_SECONDS: Final = 5
_KEEP_ALIVE_SECONDS: Final = 75


def run(
    *,
    folder: Path | None,
    listen_fd: int | None,
    parent_fd: int | None,
    ready_fd: int | None,
    nice: int,
) -> int:
    """Serve until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=False)
    os.nice(nice)
    app.set_up_logging(settings.log_level, settings.redactor)
    files = read_files(folder) if folder is not None else ()
    check_files(files)  # before anything is served: what is plainly wrong is told at once
    listener = (
        open_port(settings.host, settings.port)
        if listen_fd is None
        else socket.socket(fileno=listen_fd)
    )
    with explained(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, listener, files, ready_fd))


class _Server(uvicorn.Server):
    """uvicorn with the signals left to us, and word of when it has begun."""

    def __init__(self, application: FastAPI, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._say_started = started
        self._end_streams: Callable[[], None] = application.state.feeds.end

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Ours are set already, and end the process with an exit status instead of a signal."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams first: they would otherwise be waited for."""
        self._end_streams()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self._say_started()


async def _serve(
    settings: Settings, listener: socket.socket, files: Sequence[File], ready_fd: int | None
) -> int:
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with app.build(settings, warm=True) as application:
        token = await app.first_token(application)
        if token is not None:
            say(f"Owner token, shown once, and kept for the CLI in {settings.token_file}: {token}")
            say(f"In a browser on this machine, once: {await app.first_link(application, token)}")
        started = asyncio.Event()
        server = _Server(app.create_api(application), started.set)
        serving = asyncio.create_task(server.serve([listener]))
        stopped = asyncio.create_task(stopping.wait())
        beginning = asyncio.create_task(_begin(application, files, started, ready_fd))
        listening = [
            asyncio.create_task(keep_receiving(surface, application))
            for surface in application.surfaces.values()
        ]
        try:
            return await _until_the_end({serving, stopped}, beginning)
        finally:
            for part in (beginning, stopped, *listening):
                part.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            server.should_exit = True
            await serving


async def _until_the_end(ends: set[asyncio.Task[Any]], beginning: asyncio.Task[int]) -> int:
    await asyncio.wait({*ends, beginning}, return_when=asyncio.FIRST_COMPLETED)
    if not beginning.done() or beginning.result() == Exit.OK:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    return beginning.result() if beginning.done() else Exit.OK


async def _begin(
    application: Application, files: Sequence[File], started: asyncio.Event, ready_fd: int | None
) -> int:
    """What is done once the server answers; INVALID where a manifest ends it."""
    await started.wait()
    report_ready(ready_fd)
    if not files:
        return Exit.OK
    try:
        for applied in await app.apply_files(application, files):
            told = "applied" if applied.changed else "unchanged"
            if applied.change_id is not None:
                told = f"kept; a wider one waits: openloop changes get {applied.change_id}"
            say(f"{applied.kind} {applied.name}: revision {applied.revision}, {told}")
            for part in applied.inactive:
                say(f"  {part.part} inactive: {part.reason}")
    except Invalid as error:
        tell(error, as_json=False)
        return Exit.INVALID
    except OpenLoopError as error:
        tell(error, as_json=False)
    return Exit.OK
