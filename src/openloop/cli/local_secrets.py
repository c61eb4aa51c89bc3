"""Stored secrets, in the database of this installation and without a server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from openloop import app, settings
from openloop.actions import secrets
from openloop.cli.local import HERE
from openloop.cli.processes.boot import explained, migrated
from openloop.runtime.master_keys import MasterKeyFile
from openloop.storage import secrets as secret_rows
from openloop.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from openloop.domain.ids import WorkspaceId
    from openloop.settings import Settings

T = TypeVar("T")


def set_secret(name: str, value: str) -> int:
    """Keep a value in the workspace of this installation; its version."""

    async def keep(loaded: Settings) -> int:
        async with _opened(loaded) as (database, workspace):
            return await secrets.set_secret(
                database, workspace, name, value, keys=MasterKeyFile(loaded.master_keys), by=HERE
            )

    return _run(keep(settings.load()))


def list_secrets() -> list[dict[str, Any]]:
    """What may be known of them."""

    async def read(loaded: Settings) -> list[secret_rows.StoredSecret]:
        async with (
            _opened(loaded) as (database, workspace),
            database.transaction(workspace) as tx,
        ):
            return await secret_rows.list_all(tx)

    found = _run(read(settings.load()))
    return [orjson.loads(orjson.dumps(asdict(each))) for each in found]


def delete_secret(name: str) -> None:
    """Forget a secret of this installation."""

    async def forget(loaded: Settings) -> None:
        async with _opened(loaded) as (database, workspace):
            await secrets.delete_secret(database, workspace, name, by=HERE)

    _run(forget(settings.load()))


def rotate() -> tuple[str, int]:
    """Wrap every secret by a new master key; its id, and how many secrets there were."""

    async def wrap(loaded: Settings) -> tuple[str, int]:
        keys = MasterKeyFile(loaded.master_keys)
        async with _opened(loaded) as (database, _):
            with keys.rotation() as new:
                return new.id, await secrets.rewrap_all(database, keys=keys, by=HERE)

    return _run(wrap(settings.load()))


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    with explained():
        return asyncio.run(coroutine)


@asynccontextmanager
async def _opened(loaded: Settings) -> AsyncGenerator[tuple[Database, WorkspaceId]]:
    """The database and the workspace whose secrets settings refer to.

    Settings that refer to a secret which is not there yet are no hindrance: this is where it is set.
    """
    async with app.conninfo(loaded) as dsn:
        await migrated(dsn)
        database = Database(dsn, size=2, name="openloop-secrets", redactor=loaded.redactor)
        try:
            await database.open()
            yield database, await app.home_of(database, loaded)
        finally:
            await database.close()
