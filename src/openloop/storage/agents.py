"""Workspaces, agents and the revisions of their manifests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString

from openloop.domain.agent import Agent, Inactive, Revision
from openloop.domain.errors import NotFound
from openloop.domain.ids import AgentId, ChangeId, PrincipalId, RevisionId, WorkspaceId, new_id
from openloop.domain.pause import Pause
from openloop.domain.surface import Place
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import ConversationId
    from openloop.storage.database import Pending, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRow:
    """A workspace by name (directory)."""

    id: WorkspaceId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRevision:
    """One applied Workspace manifest."""

    id: RevisionId
    number: int
    source: str
    digest: str
    applied_at: datetime
    applied_by: PrincipalId
    origin: str = ""
    change_id: ChangeId | None = None


async def list_workspaces(tx: Transaction) -> list[WorkspaceRow]:
    """Every workspace of this installation (directory door)."""
    return await tx.all(WorkspaceRow, "SELECT id, name FROM workspaces ORDER BY name LIMIT 1000")


async def put_workspace(tx: Transaction, name: str) -> WorkspaceId:
    """The workspace of that name, made where it is new (directory door)."""
    return WorkspaceId(
        await tx.value(
            """
            INSERT INTO workspaces (id, name) VALUES (%(id)s, %(name)s)
            ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING id
            """,
            {"id": new_id(), "name": name},
        )
    )


async def get_workspace(tx: Transaction, id: WorkspaceId) -> WorkspaceRow:
    """The workspace of that id (directory door)."""
    found = await tx.find(
        WorkspaceRow, "SELECT id, name FROM workspaces WHERE id = %(id)s", {"id": id}
    )
    if found is None:
        raise NotFound(f"No workspace {id}")
    return found


async def rename_workspace(tx: Transaction, id: WorkspaceId, name: str) -> bool:
    """Give a workspace its name; False where another one has it (directory door)."""
    return bool(
        await tx.run(
            """
            UPDATE workspaces SET name = %(name)s
            WHERE id = %(id)s AND NOT EXISTS (
                SELECT FROM workspaces WHERE name = %(name)s AND id <> %(id)s)
            """,
            {"id": id, "name": name},
        )
    )


async def lock_workspace(tx: Transaction, workspace: WorkspaceId) -> None:
    """One change of configuration at a time."""
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(workspace)s::text, 1))",
        {"workspace": workspace},
    )


async def find_workspace_revision(tx: Transaction) -> WorkspaceRevision | None:
    """The live Workspace manifest."""
    return await tx.find(
        WorkspaceRevision,
        """
        SELECT id, number, source, digest, applied_at, applied_by, origin, change_id
        FROM workspace_revisions ORDER BY number DESC LIMIT 1
        """,
    )


async def list_workspace_revisions(tx: Transaction, *, limit: int) -> list[WorkspaceRevision]:
    """The newest Workspace manifests first."""
    return await tx.all(
        WorkspaceRevision,
        """
        SELECT id, number, source, digest, applied_at, applied_by, origin, change_id
        FROM workspace_revisions ORDER BY number DESC LIMIT %(limit)s
        """,
        {"limit": limit},
    )


async def get_workspace_revision(tx: Transaction, number: int) -> WorkspaceRevision:
    """One Workspace manifest by its number."""
    found = await tx.find(
        WorkspaceRevision,
        """
        SELECT id, number, source, digest, applied_at, applied_by, origin, change_id
        FROM workspace_revisions WHERE number = %(number)s
        """,
        {"number": number},
    )
    if found is None:
        raise NotFound(f"The workspace has no revision {number}")
    return found


async def find_workspace_revision_of(tx: Transaction, origin: str) -> WorkspaceRevision | None:
    """What was last applied from there."""
    return await tx.find(
        WorkspaceRevision,
        """
        SELECT id, number, source, digest, applied_at, applied_by, origin, change_id
        FROM workspace_revisions WHERE origin = %(origin)s ORDER BY number DESC LIMIT 1
        """,
        {"origin": origin},
    )


async def add_workspace_revision(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    number: int,
    source: str,
    digest: str,
    by: PrincipalId,
    origin: str = "",
    change_id: ChangeId | None = None,
) -> RevisionId:
    """Make a Workspace manifest the live one."""
    id = RevisionId(new_id())
    await tx.run(
        """
        INSERT INTO workspace_revisions
            (workspace_id, id, number, source, digest, applied_by, origin, change_id)
        VALUES (%(workspace)s, %(id)s, %(number)s, %(source)s, %(digest)s, %(by)s, %(origin)s,
                %(change_id)s)
        """,
        {
            "workspace": workspace,
            "id": id,
            "number": number,
            "source": source,
            "digest": digest,
            "by": by,
            "origin": origin,
            "change_id": change_id,
        },
    )
    return id


async def put_agent(tx: Transaction, workspace: WorkspaceId, name: str) -> AgentId:
    """The agent of that name, made where it is new."""
    return AgentId(
        await tx.value(
            """
            INSERT INTO agents (workspace_id, id, name) VALUES (%(workspace)s, %(id)s, %(name)s)
            ON CONFLICT (workspace_id, name) DO UPDATE SET name = EXCLUDED.name RETURNING id
            """,
            {"workspace": workspace, "id": new_id(), "name": name},
        )
    )


async def add_revision(
    tx: Transaction,
    workspace: WorkspaceId,
    agent_id: AgentId,
    *,
    source: str,
    digest: str,
    inactive: Sequence[Inactive],
    by: PrincipalId,
    origin: str = "",
    change_id: ChangeId | None = None,
) -> Revision:
    """Write the next revision of an agent and make it the live one."""
    revision = await tx.find(
        Revision,
        """
        INSERT INTO agent_revisions
            (workspace_id, id, agent_id, number, source, digest, inactive, applied_by, origin, change_id)
        SELECT %(workspace)s, %(id)s, %(agent_id)s, coalesce(max(number), 0) + 1, %(source)s, %(digest)s,
               %(inactive)s, %(by)s, %(origin)s, %(change_id)s
        FROM agent_revisions WHERE agent_id = %(agent_id)s
        RETURNING id, agent_id, number, source, digest, inactive, applied_at, applied_by, origin, change_id
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "agent_id": agent_id,
            "source": source,
            "digest": digest,
            "inactive": rows.json(list(inactive)),
            "by": by,
            "origin": origin,
            "change_id": change_id,
        },
    )
    assert revision is not None  # noqa: S101  # INSERT ... RETURNING gives its row
    await tx.run(
        "UPDATE agents SET live_revision_id = %(revision)s WHERE id = %(id)s",
        {"revision": revision.id, "id": agent_id},
    )
    return revision


async def set_inactive(tx: Transaction, id: RevisionId, inactive: Sequence[Inactive]) -> None:
    """What of a revision cannot work at the moment; it changes with tokens and keys."""
    await tx.run(
        "UPDATE agent_revisions SET inactive = %(inactive)s WHERE id = %(id)s",
        {"id": id, "inactive": rows.json(list(inactive))},
    )


async def get_revision(tx: Transaction, id: RevisionId) -> Revision:
    """One revision."""
    found = await tx.find(
        Revision,
        """
        SELECT id, agent_id, number, source, digest, inactive, applied_at, applied_by, origin, change_id
        FROM agent_revisions WHERE id = %(id)s
        """,
        {"id": id},
    )
    if found is None:
        raise NotFound(f"No revision {id}")
    return found


async def find_live_revision(tx: Transaction, agent_id: AgentId) -> Revision | None:
    """The revision in force of an agent."""
    return await tx.find(
        Revision,
        """
        SELECT r.id, r.agent_id, r.number, r.source, r.digest, r.inactive, r.applied_at, r.applied_by,
               r.origin, r.change_id
        FROM agents a JOIN agent_revisions r ON r.id = a.live_revision_id WHERE a.id = %(id)s
        """,
        {"id": agent_id},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIds:
    """Which revisions are in force, and whether the agent is paused: read on every turn."""

    workspace_revision_id: RevisionId
    agent_revision_id: RevisionId
    pause: Pause | None


_PAUSE: LiteralString = """
    (SELECT to_jsonb(p) - 'workspace_id' FROM pauses p
     WHERE p.subject = ANY(ARRAY[a.id, a.workspace_id]) ORDER BY p.scope DESC LIMIT 1) AS pause
"""


async def find_live_ids(tx: Transaction, agent_id: AgentId) -> LiveIds | None:
    """The ids of the revisions in force; their parsed manifests are cached by id."""
    return await tx.find(
        LiveIds,
        """
        SELECT (SELECT id FROM workspace_revisions ORDER BY number DESC LIMIT 1) AS workspace_revision_id,
               live_revision_id AS agent_revision_id,
        """  # noqa: S608  # followed by a constant
        + _PAUSE
        + """
        FROM agents a WHERE id = %(id)s AND live_revision_id IS NOT NULL
        """,
        {"id": agent_id},
    )


async def ask_live_ids(tx: Transaction, conversation: ConversationId) -> Pending[LiveIds]:
    """The same for the agent of the run that is active in a conversation, without waiting."""
    return await tx.ask(
        LiveIds,
        """
        SELECT (SELECT id FROM workspace_revisions ORDER BY number DESC LIMIT 1) AS workspace_revision_id,
               a.live_revision_id AS agent_revision_id,
        """  # noqa: S608  # followed by a constant
        + _PAUSE
        + """
        FROM runs r JOIN agents a ON a.id = r.agent_id
        WHERE r.conversation_id = %(id)s AND r.state IN ('queued', 'working', 'waiting')
          AND a.live_revision_id IS NOT NULL
        """,
        {"id": conversation},
    )


async def list_agents(tx: Transaction) -> list[Agent]:
    """Every applied agent."""
    return await tx.all(
        Agent,
        """
        SELECT id, name, live_revision_id, created_at FROM agents
        WHERE live_revision_id IS NOT NULL ORDER BY name LIMIT 1000
        """,
    )


async def get_agent(tx: Transaction, name: str) -> Agent:
    """The agent of that name."""
    found = await tx.find(
        Agent,
        """
        SELECT id, name, live_revision_id, created_at FROM agents
        WHERE name = %(name)s AND live_revision_id IS NOT NULL
        """,
        {"name": name},
    )
    if found is None:
        raise NotFound(f"No agent {name!r}")
    return found


async def list_revisions(tx: Transaction, agent_id: AgentId, *, limit: int) -> list[Revision]:
    """The newest revisions first."""
    return await tx.all(
        Revision,
        """
        SELECT id, agent_id, number, source, digest, inactive, applied_at, applied_by, origin, change_id
        FROM agent_revisions WHERE agent_id = %(id)s ORDER BY number DESC LIMIT %(limit)s
        """,
        {"id": agent_id, "limit": limit},
    )


async def get_revision_number(tx: Transaction, agent_id: AgentId, number: int) -> Revision:
    """One revision of an agent by its number."""
    found = await tx.find(
        Revision,
        """
        SELECT id, agent_id, number, source, digest, inactive, applied_at, applied_by, origin, change_id
        FROM agent_revisions WHERE agent_id = %(agent_id)s AND number = %(number)s
        """,
        {"agent_id": agent_id, "number": number},
    )
    if found is None:
        raise NotFound(f"The agent has no revision {number}")
    return found


async def find_revision_of(tx: Transaction, name: str, origin: str) -> Revision | None:
    """What was last applied from there to the agent of that name."""
    return await tx.find(
        Revision,
        """
        SELECT r.id, r.agent_id, r.number, r.source, r.digest, r.inactive, r.applied_at, r.applied_by,
               r.origin, r.change_id
        FROM agents a JOIN agent_revisions r ON r.agent_id = a.id
        WHERE a.name = %(name)s AND r.origin = %(origin)s ORDER BY r.number DESC LIMIT 1
        """,
        {"name": name, "origin": origin},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where an agent listens."""

    surface: str
    tenant: str
    container: str
    name: str
    agent_id: AgentId

    @property
    def place(self) -> Place:
        """The place by its stable id."""
        return Place(surface=self.surface, tenant=self.tenant, container=self.container)


async def list_bindings(tx: Transaction, agent_id: AgentId | None = None) -> list[Binding]:
    """Every bound place, of one agent or all."""
    return await tx.all(
        Binding,
        """
        SELECT surface, tenant, container, name, agent_id FROM bindings
        WHERE %(id)s::uuid IS NULL OR agent_id = %(id)s ORDER BY surface, name LIMIT 1000
        """,
        {"id": agent_id},
    )
