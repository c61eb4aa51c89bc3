"""The manifests in force, parsed once per revision.

Revisions never change, so a parsed manifest is cached by its id; which revisions are live is read
from the rows on every turn.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from openloop.domain.errors import NotFound
from openloop.domain.groups import with_members
from openloop.domain.manifest import parse_agent, parse_workspace
from openloop.storage import agents, groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.ids import AgentId, RevisionId
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.pause import Pause
    from openloop.plugin import TellsAlone
    from openloop.storage.agents import LiveIds
    from openloop.storage.database import Transaction

T = TypeVar("T")

CACHED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """What a run is decided by: the revision it began with, and what is in force now."""

    begun: AgentManifest
    live: AgentManifest
    workspace: WorkspaceManifest
    live_revision_id: RevisionId
    pause: Pause | None = None


class Configuration:
    """A small cache of parsed manifests.

    `alone` are the surfaces of this installation on which somebody can be told something alone.
    """

    def __init__(self, alone: Mapping[str, TellsAlone] | None = None) -> None:
        self.alone = dict(alone or {})
        self._agents: OrderedDict[RevisionId, AgentManifest] = OrderedDict()
        self._workspaces: OrderedDict[RevisionId, WorkspaceManifest] = OrderedDict()
        self._counted: OrderedDict[
            RevisionId, tuple[dict[str, frozenset[str]], WorkspaceManifest]
        ] = OrderedDict()

    async def governing(self, tx: Transaction, agent_id: AgentId, begun: RevisionId) -> Governing:
        """What decides a run of this agent that began under `begun`."""
        ids = await agents.find_live_ids(tx, agent_id)
        if ids is None:
            raise NotFound(f"Agent {agent_id} is not applied")
        return await self.governed_by(tx, ids, begun)

    async def governed_by(self, tx: Transaction, ids: LiveIds, begun: RevisionId) -> Governing:
        """The same, where it is known already which revisions are live."""
        return Governing(
            begun=await self._agent(tx, begun),
            live=await self._agent(tx, ids.agent_revision_id),
            workspace=await self._counting(tx, ids.workspace_revision_id),
            live_revision_id=ids.agent_revision_id,
            pause=ids.pause,
        )

    async def _counting(self, tx: Transaction, id: RevisionId) -> WorkspaceManifest:
        """The Workspace manifest with the members that other systems name for its groups."""
        found = await self._workspace(tx, id)
        if not found.spec.access.slack_groups:
            return found
        members = await groups.list_members(tx)
        known = self._counted.get(id)
        if known is None or known[0] != members:
            known = (members, with_members(found, members))
            _keep(self._counted, id, known)
        return known[1]

    async def workspace(self, tx: Transaction) -> WorkspaceManifest | None:
        """The Workspace manifest in force."""
        revision = await agents.find_workspace_revision(tx)
        return None if revision is None else await self._workspace(tx, revision.id)

    async def workspace_of_now(self, tx: Transaction) -> WorkspaceManifest | None:
        """The same, with the members that other systems name for its groups."""
        revision = await agents.find_workspace_revision(tx)
        return None if revision is None else await self._counting(tx, revision.id)

    async def _agent(self, tx: Transaction, id: RevisionId) -> AgentManifest:
        found = self._agents.get(id)
        if found is None:
            revision = await agents.get_revision(tx, id)
            found = parse_agent(revision.source, name=f"revision {revision.number}")
            _keep(self._agents, id, found)
        return found

    async def _workspace(self, tx: Transaction, id: RevisionId) -> WorkspaceManifest:
        found = self._workspaces.get(id)
        if found is None:
            revision = await agents.find_workspace_revision(tx)
            assert revision is not None  # noqa: S101  # its id was just read
            found = parse_workspace(revision.source, name=f"revision {revision.number}")
            _keep(self._workspaces, revision.id, found)
        return found


def _keep(cache: OrderedDict[RevisionId, T], id: RevisionId, value: T) -> None:
    cache[id] = value
    if len(cache) > CACHED:
        cache.popitem(last=False)
