"""Plans: what a checked set of manifests would change, and in which ways that widens rights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import rfc8785

from openloop.actions.apply import inactive_logins
from openloop.actions.checks import Checked, agent_of, check
from openloop.domain.change import Plan, PlannedDocument
from openloop.domain.differences import differences
from openloop.domain.manifest import digest
from openloop.domain.widening import Side, agent_widenings, workspace_widenings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.actions.apply import Resolved, World
    from openloop.actions.checks import Read
    from openloop.domain.change import ManifestFile
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database


async def plan(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], *, world: World
) -> Plan:
    """What applying these files would come to; nothing is written.

    Raises:
        Invalid: with every problem of every file
    """
    return plan_of(await check(database, workspace, files, world))


def plan_of(checked: Checked) -> Plan:
    """The plan of a set that was checked, the Workspace first.

    The two steps of a set are judged apart: the new Workspace with the agents in force, then each
    new agent under the new Workspace. What neither widens, both together do not.
    """
    documents = tuple(_documents(checked))
    covered = [
        {
            "kind": document.kind,
            "name": document.name,
            "live": document.live,
            "digest": document.digest,
            "widenings": [[each.path, each.sentence] for each in document.widenings],
        }
        for document in documents
    ]
    return Plan(documents=documents, digest=hashlib.sha256(rfc8785.dumps(covered)).hexdigest())


def _documents(checked: Checked) -> Iterator[PlannedDocument]:
    if checked.workspace is not None:
        yield _workspace(checked, checked.workspace)
    for read, resolved in checked.agents:
        yield _agent(checked, read, resolved)


def _workspace(checked: Checked, read: Read) -> PlannedDocument:
    live, manifest = checked.live, checked.governed_by
    before, wanted = live.revision, digest(manifest)
    if before is not None and before.digest == wanted:
        return PlannedDocument(
            file=read.file.name,
            kind="Workspace",
            name=manifest.metadata.name,
            verb="unchanged",
            revision=before.number,
            live=before.digest,
            digest=wanted,
            inactive=inactive_logins(manifest),
        )
    return PlannedDocument(
        file=read.file.name,
        kind="Workspace",
        name=manifest.metadata.name,
        verb="create" if before is None else "change",
        revision=(before.number if before is not None else 0) + 1,
        live=before.digest if before is not None else "",
        digest=wanted,
        differences=differences(live.manifest, manifest),
        widenings=()
        if live.manifest is None
        else workspace_widenings(live.manifest, manifest, live.agents),
        inactive=inactive_logins(manifest),
    )


def _agent(checked: Checked, read: Read, resolved: Resolved) -> PlannedDocument:
    manifest = agent_of(read)
    name, wanted = manifest.metadata.name, digest(manifest)
    before, revision = checked.live.agents.get(name), checked.live.revisions.get(name)
    if revision is not None and revision.digest == wanted:
        return PlannedDocument(
            file=read.file.name,
            kind="Agent",
            name=name,
            verb="unchanged",
            revision=revision.number,
            live=wanted,
            digest=wanted,
            inactive=resolved.inactive,
        )
    return PlannedDocument(
        file=read.file.name,
        kind="Agent",
        name=name,
        verb="create" if revision is None else "change",
        revision=(revision.number if revision is not None else 0) + 1,
        live=revision.digest if revision is not None else "",
        digest=wanted,
        differences=differences(before, manifest),
        widenings=()
        if before is None
        else agent_widenings(
            Side(agent=before, workspace=checked.governed_by),
            Side(agent=manifest, workspace=checked.governed_by),
        ),
        inactive=resolved.inactive,
    )
