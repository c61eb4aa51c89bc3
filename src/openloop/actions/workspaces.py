"""Making workspaces: by whoever has the machine, and never out of the reach of its brake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.actions import tokens
from openloop.actions.people import INSTALLATION
from openloop.domain.errors import Conflict, Invalid
from openloop.domain.pause import Pause, PauseScope
from openloop.domain.principal import Role
from openloop.storage import agents, audit, pauses

if TYPE_CHECKING:
    from openloop.domain.audit import Who
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class WorkspaceExists(Conflict):
    """There is a workspace of that name already."""

    code = "workspace_exists"


async def create(database: Database, name: str, *, by: Who) -> str:
    """Make a workspace; an owner token for it, shown once.

    While the installation is paused it is paused, too: its row is there before that is looked up, so
    that whoever pauses everything sees the row, or is seen.

    Raises:
        Invalid, WorkspaceExists
    """
    if not NAME.fullmatch(name):
        message = f"{name!r} is no name of a workspace: lower-case letters, digits and dashes"
        raise Invalid(message, problems=(message,), code="workspace_name_invalid")
    async with database.directory() as tx:
        known = await agents.list_workspaces(tx)
        if any(row.name == name for row in known):
            raise WorkspaceExists(f"There is a workspace {name!r} already")
        workspace = await agents.put_workspace(tx, name)
    async with database.transaction(workspace) as tx:
        await audit.append(tx, workspace, "workspace.made", actor=by, name=name)
    inherited = await _pause_of(database, [row.id for row in known])
    if inherited is not None:
        async with database.transaction(workspace) as tx:
            if await pauses.put(
                tx,
                workspace,
                scope=PauseScope.INSTALLATION,
                subject=workspace,
                reason=inherited.reason,
                by=inherited.paused_by,
            ):
                await audit.append(
                    tx,
                    workspace,
                    "brake.paused",
                    actor=inherited.paused_by,
                    subject=workspace,
                    scope=PauseScope.INSTALLATION,
                    agent="",
                    reason=inherited.reason,
                )
    return await tokens.create(
        database, workspace, principal=INSTALLATION, role=Role.OWNER, name="first token", by=by
    )


async def _pause_of(database: Database, workspaces: list[WorkspaceId]) -> Pause | None:
    """The pause of the whole installation, as any of its workspaces has it."""
    for workspace in workspaces:
        async with database.transaction(workspace) as tx:
            for pause in await pauses.list_current(tx):
                if pause.scope is PauseScope.INSTALLATION:
                    return pause
    return None
