"""Going back to an earlier revision: it is applied anew, and one that widens waits for somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions import manifests
from openloop.actions.manifests import ManifestFile
from openloop.domain.errors import NotFound
from openloop.storage import agents

if TYPE_CHECKING:
    from openloop.actions.apply import Applied, World
    from openloop.actions.manifests import Proposal
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

ORIGIN = "rollback"


async def roll_back_agent(
    database: Database,
    workspace: WorkspaceId,
    name: str,
    number: int | None,
    *,
    world: World,
    proposal: Proposal,
) -> list[Applied]:
    """Apply an earlier revision of an agent again, by default the one before the live one.

    Raises:
        NotFound: there is no such revision
        Invalid: it does not fit what is in force around it any more
    """
    async with database.transaction(workspace) as tx:
        agent = await agents.get_agent(tx, name)
        live = await agents.get_revision(tx, agent.live_revision_id)
        wanted = await agents.get_revision_number(tx, agent.id, _number(number, live.number))
    file = ManifestFile(name=f"{name} revision {wanted.number}", text=wanted.source)
    return await _apply(database, workspace, file, world=world, proposal=proposal)


async def roll_back_workspace(
    database: Database,
    workspace: WorkspaceId,
    number: int | None,
    *,
    world: World,
    proposal: Proposal,
) -> list[Applied]:
    """Apply an earlier Workspace manifest again, by default the one before the live one.

    Raises:
        NotFound: there is no such revision
        Invalid: an agent in force needs what it does not have
    """
    async with database.transaction(workspace) as tx:
        live = await agents.find_workspace_revision(tx)
        if live is None:
            raise NotFound("No Workspace manifest was ever applied")
        wanted = await agents.get_workspace_revision(tx, _number(number, live.number))
    file = ManifestFile(name=f"workspace revision {wanted.number}", text=wanted.source)
    return await _apply(database, workspace, file, world=world, proposal=proposal)


async def _apply(
    database: Database,
    workspace: WorkspaceId,
    file: ManifestFile,
    *,
    world: World,
    proposal: Proposal,
) -> list[Applied]:
    return await manifests.apply_files(
        database, workspace, [file], world=world, proposal=replace(proposal, origin=ORIGIN)
    )


def _number(number: int | None, live: int) -> int:
    wanted = live - 1 if number is None else number
    if wanted < 1:
        raise NotFound("There is no earlier revision")
    return wanted
