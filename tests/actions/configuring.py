"""Applying manifests in tests as the API does: by somebody, from somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openloop.actions import changes, manifests, sync
from openloop.actions.changes import Voter
from openloop.actions.manifests import ManifestFile, Proposal
from openloop.domain.audit import Who
from openloop.domain.manifest import load
from openloop.domain.manifest_agent import AgentManifest
from openloop.storage import agents, principals
from openloop.storage import changes as rows
from tests.manifests import EverythingIsThere

if TYPE_CHECKING:
    from openloop.actions.apply import Applied
    from openloop.domain.agent import Revision
    from openloop.domain.change import Change, ChangeState
    from openloop.domain.ids import ChangeId, PrincipalId, WorkspaceId
    from openloop.storage.database import Database

WIDER: dict[str, Any] = {"budget": {"monthly_usd": 60, "per_task_usd": 5}}
NARROWER: dict[str, Any] = {"budget": {"monthly_usd": 40, "per_task_usd": 5}}


@dataclass
class Desk:
    """A workspace in which people change the configuration."""

    database: Database
    workspace: WorkspaceId

    async def principal(self, name: str, kind: str = "person") -> PrincipalId:
        async with self.database.transaction(self.workspace) as tx:
            known = await principals.find_by_name(tx, name)
            if known is not None:
                return known.id
            return await principals.put(tx, self.workspace, name=name, kind=kind, roles=())

    async def apply(self, *texts: str, by: str = "ben", **details: Any) -> list[Applied]:
        """Somebody brings manifests."""
        return await manifests.apply_files(
            self.database,
            self.workspace,
            files_of(*texts),
            world=EverythingIsThere(),
            proposal=Proposal(by=await self.principal(by), who=who(by), **details),
        )

    async def sync(self, *texts: str, version: str = "c0ffee") -> list[Applied]:
        """A service syncs a repository."""
        return await sync.sync(
            self.database,
            self.workspace,
            files_of(*texts),
            world=EverythingIsThere(),
            by=await self.principal("config-sync", "service"),
            who=who("config-sync"),
            origin="sync here",
            version=version,
            every_seconds=None,
        )

    async def approve(
        self, change: ChangeId, *, by: str = "anna", is_owner: bool = False
    ) -> list[Applied]:
        return await changes.approve(
            self.database,
            self.workspace,
            change,
            voter=Voter(principal=await self.principal(by), who=who(by), is_owner=is_owner),
            world=EverythingIsThere(),
        )

    async def reject(self, change: ChangeId, *, by: str = "anna") -> None:
        voter = Voter(principal=await self.principal(by), who=who(by), reason="not now")
        await changes.reject(self.database, self.workspace, change, voter=voter)

    async def changes(self, state: ChangeState | None = None) -> list[Change]:
        """The newest first."""
        async with self.database.transaction(self.workspace) as tx:
            return await rows.list_newest(tx, limit=50, state=state)

    async def live(self, name: str = "dev-platform") -> Revision:
        """The revision in force of an agent."""
        async with self.database.transaction(self.workspace) as tx:
            agent = await agents.get_agent(tx, name)
            return await agents.get_revision(tx, agent.live_revision_id)

    async def manifest(self, name: str = "dev-platform") -> AgentManifest:
        """The manifest in force of an agent."""
        found = load((await self.live(name)).source, name=name).manifest
        assert isinstance(found, AgentManifest)
        return found


def files_of(*texts: str) -> list[ManifestFile]:
    return [ManifestFile(name=f"{n}.yaml", text=text) for n, text in enumerate(texts, 1)]


def who(name: str) -> Who:
    return Who(kind="principal", name=name, via="test")


def waiting(applied: list[Applied]) -> ChangeId:
    """The one change that an apply has left waiting."""
    (change,) = {each.change_id for each in applied if each.change_id is not None}
    return change
