"""Agents: what is in force, where it listens, and what of it cannot work yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from openloop.actions import rollback
from openloop.api.authentication import Configuring, Seeing
from openloop.api.kit import Kit
from openloop.api.manifests import ManifestResults
from openloop.api.paging import Limit, Page, position
from openloop.api.workspace import Effective, RollBack, names_of, proposal_of
from openloop.domain.agent import Agent, Inactive
from openloop.domain.effective import effective
from openloop.domain.ids import AgentId, ChangeId, RevisionId
from openloop.domain.manifest import load, parse_workspace
from openloop.storage import agents
from openloop.storage.agents import Binding

if TYPE_CHECKING:
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/agents", tags=["agents"])


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSummary:
    """An agent and the revision in force."""

    id: AgentId
    name: str
    created_at: datetime
    revision: int
    digest: str
    applied_at: datetime
    inactive: tuple[Inactive, ...]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDetail(AgentSummary):
    """The same with the manifest, as it was applied."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionAnswer:
    """One applied manifest. With a `change_id` it widened rights and was approved."""

    id: RevisionId
    agent_id: AgentId
    number: int
    source: str
    digest: str
    inactive: tuple[Inactive, ...]
    applied_at: datetime
    applied_by: str
    origin: str
    change_id: ChangeId | None


@router.get("", operation_id="list_agents")
async def list_agents(kit: Kit, caller: Seeing) -> Page[AgentSummary]:
    """Every applied agent, by name."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        bindings = await agents.list_bindings(tx)
        items = [
            AgentSummary(**await _values(tx, agent, bindings))
            for agent in await agents.list_agents(tx)
        ]
    return Page(items=tuple(items), next_cursor=None, as_of=as_of)


@router.get("/{name}", operation_id="get_agent")
async def get_agent(kit: Kit, caller: Seeing, name: str) -> AgentDetail:
    """One agent with its manifest."""
    async with kit.database.transaction(caller.workspace) as tx:
        agent = await agents.get_agent(tx, name)
        revision = await agents.get_revision(tx, agent.live_revision_id)
        values = await _values(tx, agent, await agents.list_bindings(tx, agent.id))
    return AgentDetail(**values, source=revision.source)


@router.get("/{name}/revisions", operation_id="list_agent_revisions")
async def list_agent_revisions(
    kit: Kit, caller: Seeing, name: str, *, limit: Limit = 50
) -> Page[RevisionAnswer]:
    """The newest revisions first."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        agent = await agents.get_agent(tx, name)
        found = await agents.list_revisions(tx, agent.id, limit=limit)
        names = await names_of(tx, (revision.applied_by for revision in found))
    items = [
        RevisionAnswer(
            id=revision.id,
            agent_id=revision.agent_id,
            number=revision.number,
            source=revision.source,
            digest=revision.digest,
            inactive=revision.inactive,
            applied_at=revision.applied_at,
            applied_by=names[revision.applied_by],
            origin=revision.origin,
            change_id=revision.change_id,
        )
        for revision in found
    ]
    return Page(items=tuple(items), next_cursor=None, as_of=as_of)


@router.get("/{name}/effective", operation_id="get_effective_agent")
async def get_effective_agent(kit: Kit, caller: Seeing, name: str) -> Effective:
    """What is in force for an agent, and where each value comes from."""
    async with kit.database.transaction(caller.workspace) as tx:
        agent = await agents.get_agent(tx, name)
        live = await agents.get_revision(tx, agent.live_revision_id)
        workspace = await agents.find_workspace_revision(tx)
    governed_by = (
        None if workspace is None else parse_workspace(workspace.source, name="the workspace")
    )
    values = effective(load(live.source, name=f"agent {name}"), governed_by)
    return Effective(revision=live.number, values=values)


@router.post("/{name}/rollback", operation_id="roll_back_agent")
async def roll_back_agent(
    kit: Kit, caller: Configuring, name: str, body: RollBack
) -> ManifestResults:
    """Apply an earlier revision again; one that widens rights waits for an approval."""
    applied = await rollback.roll_back_agent(
        kit.database,
        caller.workspace,
        name,
        body.number,
        world=kit.world,
        proposal=proposal_of(caller),
    )
    return ManifestResults(results=tuple(applied))


async def _values(tx: Transaction, agent: Agent, bindings: list[Binding]) -> dict[str, Any]:
    revision = await agents.get_revision(tx, agent.live_revision_id)
    return {
        "id": agent.id,
        "name": agent.name,
        "created_at": agent.created_at,
        "revision": revision.number,
        "digest": revision.digest,
        "applied_at": revision.applied_at,
        "inactive": revision.inactive,
        "bindings": tuple(b for b in bindings if b.agent_id == agent.id),
    }
