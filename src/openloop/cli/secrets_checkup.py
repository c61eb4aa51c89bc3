"""What `doctor` says of secrets: where each is, whether it is there, and never what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop import app
from openloop.domain.errors import Misconfigured, OpenLoopError
from openloop.domain.surface import Finding
from openloop.runtime.master_keys import MasterKeyFile
from openloop.storage import migrations
from openloop.storage.database import DISCONNECTED
from openloop.storage.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from openloop.settings import Settings
    from openloop.storage.database import Database


async def look(
    settings: Settings, opened: Callable[[Settings], AbstractAsyncContextManager[Database]]
) -> tuple[Settings, list[Finding]]:
    """The settings with their stored secrets, where all can be read, and a line for each reference."""
    broken: dict[str, str] = {}
    complete = settings
    try:
        complete = await _complete(settings, opened)
    except Misconfigured as error:
        broken = {name: said for name, _, said in (e.partition(": ") for e in error.problems)}
    lines = [
        Finding(
            subject=name,
            ok=name not in broken,
            detail=f"{reference}; {broken[name]}" if name in broken else str(reference),
        )
        for name, reference in settings.references.items()
    ]
    return complete, [*lines, *_keys(settings)]


async def _complete(
    settings: Settings, opened: Callable[[Settings], AbstractAsyncContextManager[Database]]
) -> Settings:
    wanted = settings.stored_references
    if not wanted:
        return settings
    try:
        async with opened(settings) as database:
            async with database.directory() as tx:
                missing = await migrations.pending(tx.connection)
            if not missing:
                return await app.with_secrets_of(database, settings)
            reason = "the database is not up to date: openloop db migrate"
    except Misconfigured:
        raise
    except (OpenLoopError, EmbeddedPostgresError, TimeoutError, *DISCONNECTED):
        reason = "the database cannot be reached"
    raise Misconfigured(reason, problems=[f"{name}: {reason}" for name in wanted])


def _keys(settings: Settings) -> list[Finding]:
    """The master keys: a copy of them in the database's backup is as good as no encryption."""
    file = MasterKeyFile(settings.master_keys)
    try:
        keys = file.by_id()
    except Misconfigured as error:
        return [Finding(subject="master keys", ok=False, detail=str(error))]
    if not keys:
        return []
    is_near = settings.database_url is None and file.path.is_relative_to(settings.home)
    remedy = "Keep it out of the backups of that folder, or set OPENLOOP_SECRETS_KEY"
    return [
        Finding(
            subject="master keys",
            ok=True,
            detail=f"{file.path}, only for you",
            remedy=remedy if is_near else "",
        )
    ]
