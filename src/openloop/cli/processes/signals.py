"""Being told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from openloop.cli.failures import Exit

if TYPE_CHECKING:
    from collections.abc import Callable


def on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT; a second one ends the process at once."""
    seen: list[int] = []

    def take(number: int) -> None:
        if seen:
            os._exit(Exit.INTERRUPTED)
        seen.append(number)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, take, number)
