"""Surfaces that receive by themselves, by an open connection or by asking, kept at it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from openloop import app
from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.plugin import Polling, Surface

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openloop.app import Application
    from openloop.plugin import Sink


class PollingSurface(Surface, Polling, Protocol):
    """A surface that also asks."""


log = structlog.get_logger(__name__)

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0


async def keep_receiving(surface: Surface, application: Application) -> None:
    """Listen and poll until cancelled; returns where a surface does neither."""
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_listening(surface, application.intake))
        if isinstance(surface, Polling):
            group.create_task(_keep(partial(_poll, surface, application), surface.name))


async def keep_listening(surface: Surface, sink: Sink) -> None:
    """Listen until cancelled, again after every failure; returns where there is nothing to hear."""
    await _keep(partial(surface.listen, sink), surface.name)


async def _poll(surface: PollingSurface, application: Application) -> None:
    home = await app.home_workspace(application)
    bookmarks = SurfaceBookmarks(application.database, home, surface.name)
    await surface.poll(application.intake, bookmarks)


async def _keep(receive: Callable[[], Awaitable[None]], name: str) -> None:
    seconds = _FIRST_WAIT_SECONDS
    while True:
        receiving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({receiving})
        finally:
            receiving.cancel()
        error = receiving.exception()
        if error is None:
            return
        log.error("surface stopped listening", surface=name, exc_info=error)
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)
