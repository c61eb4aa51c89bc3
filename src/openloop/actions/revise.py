"""Writing the revisions of a set of manifests that was checked and needs nobody's approval any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import apply
from openloop.actions.checks import ConfigurationMoved, agent_of
from openloop.storage import agents, audit, conversations

if TYPE_CHECKING:
    from openloop.actions.apply import Applied, Origin
    from openloop.actions.checks import Checked
    from openloop.domain.audit import Who
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.storage.database import Transaction


async def write(
    tx: Transaction,
    workspace: WorkspaceId,
    checked: Checked,
    *,
    by: PrincipalId,
    who: Who,
    origin: Origin,
) -> list[Applied]:
    """Write a checked set in a transaction that holds the workspace's lock, the Workspace first."""
    applied: list[Applied] = []
    if checked.workspace is not None:
        if checked.live.revision is None:
            await _rename(tx, workspace, checked.governed_by.metadata.name, who)
        applied.append(
            await apply.write_workspace(
                tx,
                workspace,
                checked.workspace.loaded,
                source=checked.workspace.file.text,
                by=by,
                who=who,
                origin=origin,
            )
        )
    for read, resolved in checked.agents:
        # All let go before any takes, so that agents may swap places.
        agent_id = await agents.put_agent(tx, workspace, agent_of(read).metadata.name)
        await conversations.unbind_others(tx, agent_id, [place for place, _ in resolved.places])
    for read, resolved in checked.agents:
        applied.append(
            await apply.write_agent(
                tx,
                workspace,
                read.loaded,
                resolved,
                source=read.file.text,
                by=by,
                who=who,
                origin=origin,
            )
        )
    return applied


async def _rename(tx: Transaction, workspace: WorkspaceId, name: str, who: Who) -> None:
    if (await agents.get_workspace(tx, workspace)).name == name:
        return
    if not await agents.rename_workspace(tx, workspace, name):
        raise ConfigurationMoved(f"Another workspace is called {name!r} meanwhile")
    await audit.append(tx, workspace, "workspace.named", actor=who, subject=workspace, name=name)
