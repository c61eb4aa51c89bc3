"""Commands that go to the database of this installation, without a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openloop import app, settings
from openloop.actions import tokens
from openloop.cli.processes.boot import explained, migrated
from openloop.cli.setup.dotenv import write_private
from openloop.domain.audit import Who
from openloop.domain.principal import Role

if TYPE_CHECKING:
    from openloop.settings import Settings

HERE = Who(kind="system", name="openloop", via="cli")


def migrate() -> list[str]:
    """Bring the database up to date; the names of what was applied."""
    with explained():
        return asyncio.run(_migrate(settings.load()))


async def _migrate(loaded: Settings) -> list[str]:
    async with app.conninfo(loaded) as dsn:
        return await migrated(dsn)


def create_token(*, role: str, name: str, principal: str, days: int, keep: bool) -> str:
    """Make a token in this installation's workspace; `keep` leaves it for the command line."""
    loaded = settings.load()
    with explained():
        text = asyncio.run(
            _create_token(loaded, role=Role(role), name=name, principal=principal, days=days)
        )
    if keep:
        loaded.home.mkdir(parents=True, exist_ok=True)
        write_private(loaded.token_file, text + "\n")
    return text


async def _create_token(
    loaded: Settings, *, role: Role, name: str, principal: str, days: int
) -> str:
    async with app.build(loaded, pool_size=2) as application:
        return await tokens.create(
            application.database,
            await app.home_workspace(application),
            principal=principal,
            role=role,
            name=name,
            by=HERE,
            days=days,
        )
