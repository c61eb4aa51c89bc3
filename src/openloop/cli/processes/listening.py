"""Surfaces that receive by an outbound connection (Socket Mode), kept listening."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from openloop.plugin import Sink, Surface

log = structlog.get_logger(__name__)

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0


async def keep_listening(surface: Surface, sink: Sink) -> None:
    """Listen until cancelled, again after every failure; returns where there is nothing to hear."""
    seconds = _FIRST_WAIT_SECONDS
    while True:
        listening = asyncio.create_task(surface.listen(sink))
        try:
            await asyncio.wait({listening})
        finally:
            listening.cancel()
        error = listening.exception()
        if error is None:
            return
        log.error("surface stopped listening", surface=surface.name, exc_info=error)
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)
