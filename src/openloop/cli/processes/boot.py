"""The database at the start, and its errors in words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from openloop.cli.failures import LocalFailure
from openloop.domain.errors import Unavailable
from openloop.storage.database import DISCONNECTED
from openloop.storage.embedded import EmbeddedPostgresError
from openloop.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Generator


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
