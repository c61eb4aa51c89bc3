"""Syncing manifests from where they are kept: what narrows is applied, what widens is proposed.

Nothing that a folder or a repository says of itself gives it a right: neither the author of a
commit nor its branch. Whoever syncs can widen nothing, not even in solo mode and not at the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import manifests
from openloop.actions.manifests import Proposal
from openloop.domain.errors import Invalid
from openloop.storage import audit, changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.apply import Applied, World
    from openloop.domain.audit import Who
    from openloop.domain.change import ManifestFile
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.storage.changes import Outcome
    from openloop.storage.database import Database

_SHOWN = 2000


async def sync(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    *,
    world: World,
    by: PrincipalId,
    who: Who,
    origin: str,
    version: str,
    every_seconds: int | None,
) -> list[Applied]:
    """Bring what is in force up to these manifests, as far as nobody has to be asked.

    What it came to is kept by `origin`, also where the manifests are refused; then what was in
    force stays so.

    Raises:
        Invalid: with every problem of every file
        ConfigurationMoved: somebody applied in between
    """
    applied: list[Applied] = []
    refused: Invalid | None = None
    try:
        applied = await manifests.apply_files(
            database,
            workspace,
            files,
            world=world,
            proposal=Proposal(by=by, who=who, origin=origin, version=version, may_begin=False),
        )
    except Invalid as invalid:
        refused = invalid
    outcome = "refused" if refused is not None else _outcome(applied)
    async with database.transaction(workspace) as tx:
        before = await changes.put_source(
            tx,
            workspace,
            origin=origin,
            version=version,
            outcome=outcome,
            detail="" if refused is None else str(refused)[:_SHOWN],
            change_id=next((each.change_id for each in applied if each.change_id), None),
            every_seconds=every_seconds,
            by=by,
        )
        if refused is not None and before != "refused":
            await audit.append(
                tx,
                workspace,
                "config.refused",
                actor=who,
                origin=origin,
                version=version,
                problem=str(refused)[:_SHOWN],
            )
    if refused is not None:
        raise refused
    return applied


def _outcome(applied: Sequence[Applied]) -> Outcome:
    if any(each.change_id for each in applied):
        return "pending"
    return "applied" if any(each.changed for each in applied) else "unchanged"
