"""Giving the record another signing key: the old one introduces the new one, in every workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import sealing
from openloop.actions.sealing import ForeignKey
from openloop.domain.audit_checkpoint import parse
from openloop.storage import agents, checkpoints

if TYPE_CHECKING:
    from openloop.domain.audit import Who
    from openloop.domain.audit_checkpoint import SigningKey
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database


async def rotate(database: Database, old: SigningKey, new: SigningKey, *, by: Who) -> int:
    """Let the new key be introduced wherever something is signed; in how many workspaces it was.

    What was done already is not done again: a rotation that broke off is simply called once more.

    Raises:
        RecordTampered
        ForeignKey: a workspace is signed with neither key; nothing was changed
    """
    async with database.directory() as tx:
        workspaces = [row.id for row in await agents.list_workspaces(tx)]
    for workspace in workspaces:
        await _check(database, workspace, old, new)
    rotated = 0
    for workspace in workspaces:
        rotated += await sealing.rotate_key(database, workspace, old, new, by=by) is not None
    return rotated


async def _check(
    database: Database, workspace: WorkspaceId, old: SigningKey, new: SigningKey
) -> None:
    async with database.transaction(workspace) as tx:
        last = await checkpoints.find_last(tx)
    if last is not None and parse(last.document).checkpoint.next_key not in (old.id, new.id):
        message = f"Workspace {workspace} is signed with another key than {old.id}"
        raise ForeignKey(message)
