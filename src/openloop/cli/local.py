"""Commands that go to the database of this installation, without a server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from openloop import app, settings
from openloop.actions import pause as brake
from openloop.actions import tokens, workspaces
from openloop.cli.processes.boot import explained, migrated
from openloop.cli.setup.dotenv import write_private
from openloop.domain.audit import Who
from openloop.domain.errors import NotFound
from openloop.domain.pause import PauseScope
from openloop.domain.principal import Right, Role
from openloop.storage import agents

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.settings import Settings

HERE = Who(kind="system", name="openloop", via="cli")


def migrate() -> list[str]:
    """Bring the database up to date; the names of what was applied."""
    with explained():
        return asyncio.run(_migrate(settings.load()))


async def _migrate(loaded: Settings) -> list[str]:
    async with app.conninfo(loaded) as dsn:
        return await migrated(dsn)


def create_token(
    *,
    role: str,
    only: Sequence[str] | None,
    name: str,
    principal: str,
    days: int,
    keep: bool,
) -> str:
    """Make a token in this installation's workspace; `keep` leaves it for the command line."""
    loaded = settings.load()
    with explained():
        text = asyncio.run(
            _create_token(
                loaded,
                role=Role(role),
                only=None if only is None else tuple(map(Right, only)),
                name=name,
                principal=principal,
                days=days,
            )
        )
    if keep:
        loaded.home.mkdir(parents=True, exist_ok=True)
        write_private(loaded.token_file, text + "\n")
    return text


async def _create_token(
    loaded: Settings,
    *,
    role: Role,
    only: Collection[Right] | None,
    name: str,
    principal: str,
    days: int,
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
            only=only,
        )


def create_workspace(name: str) -> str:
    """Make a workspace; a token that owns it."""
    with explained():
        return asyncio.run(_create_workspace(settings.load(), name))


async def _create_workspace(loaded: Settings, name: str) -> str:
    async with app.build(loaded, pool_size=2) as application:
        await app.home_workspace(application)  # the first one stays the first
        return await workspaces.create(application.database, name, by=HERE)


def list_workspaces() -> list[dict[str, str]]:
    """Every workspace of this installation, by name."""
    with explained():
        return asyncio.run(_list_workspaces(settings.load()))


async def _list_workspaces(loaded: Settings) -> list[dict[str, str]]:
    async with (
        app.build(loaded, pool_size=2) as application,
        application.database.directory() as tx,
    ):
        return [{"id": str(row.id), "name": row.name} for row in await agents.list_workspaces(tx)]


def pause_everything(reason: str) -> int:
    """Pause every workspace of this installation; how many there are."""
    with explained():
        return asyncio.run(_pause_everything(settings.load(), reason))


async def _pause_everything(loaded: Settings, reason: str) -> int:
    paused: set[WorkspaceId] = set()
    async with app.build(loaded, pool_size=2) as application:
        # Again, until there is none that was made meanwhile (actions.workspaces).
        while left := set(await app.every_workspace(application)) - paused:
            for workspace in left:
                await brake.pause(
                    application.database,
                    workspace,
                    scope=PauseScope.INSTALLATION,
                    reason=reason,
                    by=HERE,
                )
            paused |= left
    return len(paused)


def resume_everything() -> int:
    """Lift the pause of the installation in every workspace that has it; how many had."""
    with explained():
        return asyncio.run(_resume_everything(settings.load()))


async def _resume_everything(loaded: Settings) -> int:
    resumed = 0
    async with app.build(loaded, pool_size=2) as application:
        for workspace in await app.every_workspace(application):
            with contextlib.suppress(NotFound):
                await brake.resume(
                    application.database, workspace, scope=PauseScope.INSTALLATION, by=HERE
                )
                resumed += 1
    return resumed
