"""Applying a set of manifests: what widens rights waits for somebody else, the rest is in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions import changes
from openloop.actions.apply import Applied, Origin
from openloop.actions.checks import ConfigurationMoved, check, refuse_moved
from openloop.actions.plan import plan_of
from openloop.actions.revise import write
from openloop.domain.change import ManifestFile, PlannedDocument
from openloop.domain.errors import Invalid
from openloop.storage import agents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.apply import World
    from openloop.actions.checks import Checked
    from openloop.domain.audit import Who
    from openloop.domain.change import Plan
    from openloop.domain.ids import ChangeId, PrincipalId, WorkspaceId
    from openloop.storage.database import Database

__all__ = ["ConfigurationMoved", "ManifestFile", "Proposal", "apply_files", "validate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Who brings manifests, and from where.

    `origin` names the place (`cli`, `up`, `sync ...`), `version` what of it (a commit). Who
    `may_begin` may apply the first manifest of a name without asking anybody.
    """

    by: PrincipalId
    who: Who
    origin: str = "cli"
    version: str = ""
    may_begin: bool = True


async def validate(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], *, world: World
) -> list[Applied]:
    """What applying these files would come to; nothing is written.

    Raises:
        Invalid: with every problem of every file
    """
    planned = plan_of(await check(database, workspace, files, world))
    return [
        Applied(
            kind=document.kind,
            name=document.name,
            revision=document.revision,
            changed=document.verb != "unchanged",
            inactive=document.inactive,
            widenings=document.widenings,
        )
        for document in planned.documents
    ]


async def apply_files(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    *,
    world: World,
    proposal: Proposal,
) -> list[Applied]:
    """Make these manifests the live ones, but for those that widen rights: they wait as one change.

    What does not widen is applied at once where it stands on its own, else it waits too. Until
    somebody else approves, what was in force stays so. The first Workspace manifest names the
    workspace.

    Raises:
        Invalid: with every problem of every file
        ConfigurationMoved: somebody else applied in between
    """
    checked = await check(database, workspace, files, world)
    planned = plan_of(checked)
    if not any(_is_held(document, proposal) for document in planned.documents):
        return await _write_now(database, workspace, checked, proposal)
    free, waiting = _sorted(checked, planned, proposal)
    applied = await _apply_free(database, workspace, free, world=world, proposal=proposal)
    if applied:
        planned = plan_of(await check(database, workspace, waiting, world))
    else:
        waiting = list(files)
    change_id = await changes.propose(
        database,
        workspace,
        waiting,
        planned,
        by=proposal.by,
        who=proposal.who,
        origin=proposal.origin,
        version=proposal.version,
    )
    return [*applied, *(_waits(document, change_id) for document in planned.documents)]


def _is_held(document: PlannedDocument, proposal: Proposal) -> bool:
    return bool(document.widenings) or (document.begins and not proposal.may_begin)


def _sorted(
    checked: Checked, planned: Plan, proposal: Proposal
) -> tuple[list[ManifestFile], list[ManifestFile]]:
    """The files that nobody has to be asked about, and the others."""
    workspace = [checked.workspace] if checked.workspace is not None else []
    read = [*workspace, *(each for each, _ in checked.agents)]
    free: list[ManifestFile] = []
    waiting: list[ManifestFile] = []
    for each, document in zip(read, planned.documents, strict=True):
        (waiting if _is_held(document, proposal) else free).append(each.file)
    return free, waiting


async def _apply_free(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    *,
    world: World,
    proposal: Proposal,
) -> list[Applied]:
    """Apply the files that widen nothing; none of them where they need the others."""
    if not files:
        return []
    try:
        checked = await check(database, workspace, files, world)
    except Invalid:
        return []
    if any(_is_held(document, proposal) for document in plan_of(checked).documents):
        return []
    return await _write_now(database, workspace, checked, proposal)


def _waits(document: PlannedDocument, change_id: ChangeId) -> Applied:
    return Applied(
        kind=document.kind,
        name=document.name,
        revision=document.revision - (document.verb != "unchanged"),
        changed=False,
        inactive=document.inactive,
        widenings=document.widenings,
        change_id=change_id,
    )


async def _write_now(
    database: Database, workspace: WorkspaceId, checked: Checked, proposal: Proposal
) -> list[Applied]:
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        await refuse_moved(tx, checked)
        return await write(
            tx,
            workspace,
            checked,
            by=proposal.by,
            who=proposal.who,
            origin=Origin(name=proposal.origin),
        )
