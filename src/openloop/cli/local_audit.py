"""Rotating the key that signs the audit's checkpoints, where the key is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openloop import app, settings
from openloop.actions import rotating
from openloop.cli.failures import LocalFailure
from openloop.cli.local import HERE
from openloop.cli.processes.boot import explained
from openloop.runtime.signing import KeyFile
from openloop.storage.database import Database

if TYPE_CHECKING:
    from openloop.settings import Settings


def rotate_key() -> tuple[str, int]:
    """Let the key of this installation introduce a new one; its id, and in how many workspaces."""
    with explained():
        return asyncio.run(_rotate(settings.load()))


async def _rotate(loaded: Settings) -> tuple[str, int]:
    file = KeyFile(loaded.signing_key)
    old = file.find()
    if old is None:
        message = f"There is no signing key at {file.path}: the first worker makes one"
        raise LocalFailure(message, code="no_signing_key")
    new = file.next_key()
    async with app.conninfo(loaded) as dsn:
        database = Database(dsn, size=2, name="openloop-rotate")
        try:
            await database.open()
            rotated = await rotating.rotate(database, old, new, by=HERE)
        finally:
            await database.close()
    file.finish_rotation()
    return new.id, rotated
