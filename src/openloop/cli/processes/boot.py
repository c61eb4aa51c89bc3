"""What the processes have in common: signals, the database, and the errors of the start."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openloop.cli.failures import Exit, LocalFailure
from openloop.domain.errors import Unavailable
from openloop.storage.database import DISCONNECTED
from openloop.storage.embedded import EmbeddedPostgresError
from openloop.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


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


@contextmanager
def explained() -> Generator[None]:
    """Turn what a database raises at the start into a sentence."""
    try:
        yield
    except EmbeddedPostgresError as error:
        raise LocalFailure(str(error), code="postgres") from error
    except DISCONNECTED as error:
        message = f"The database cannot be reached: {error}"
        raise Unavailable(message) from error


async def migrated(dsn: str) -> list[str]:
    """Bring a database up to date; the names of what was applied.

    Raises:
        Unavailable, Misconfigured
    """
    with explained():
        return await migrate(dsn)
