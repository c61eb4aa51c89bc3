"""What a run's explanation is made of, beside its rows that are read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from openloop.domain.ids import ApprovalId, MemoryId, PrincipalId
from openloop.domain.memory import Memory
from openloop.domain.surface import Actor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import AgentId, RunId
    from openloop.storage.database import Transaction

MOST = 500
MOST_MANIFESTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message that people sent to the run."""

    actor: Actor
    text: str
    link: str
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """A vote, with the name of whoever cast it."""

    approval_id: ApprovalId
    principal_id: PrincipalId
    name: str
    decision: str
    round: int
    attempt: int
    via: str
    voted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was set aside for a model call and what it cost; `assumed` where nobody knows."""

    step_seq: int
    model: str
    state: str
    reserved_usd: Decimal
    cost_usd: Decimal | None
    assumed: bool


async def list_said(tx: Transaction, run_id: RunId) -> list[Said]:
    """What people said to the run, in order."""
    return await tx.all(
        Said,
        """
        SELECT actor, text, link, sent_at FROM messages WHERE run_id = %(run_id)s
        ORDER BY id LIMIT %(most)s
        """,
        {"run_id": run_id, "most": MOST},
    )


async def list_cast(tx: Transaction, run_id: RunId) -> list[Cast]:
    """Every vote on the run's approvals, in order."""
    return await tx.all(
        Cast,
        """
        SELECT v.approval_id, v.principal_id, p.name, v.decision, v.round, v.attempt, v.via, v.voted_at
        FROM approvals a JOIN votes v ON v.approval_id = a.id JOIN principals p ON p.id = v.principal_id
        WHERE a.run_id = %(run_id)s ORDER BY v.voted_at LIMIT %(most)s
        """,
        {"run_id": run_id, "most": MOST},
    )


async def list_spent(tx: Transaction, run_id: RunId) -> list[Spent]:
    """Every model call's money, in order."""
    return await tx.all(
        Spent,
        """
        SELECT step_seq, model, state, amount_usd AS reserved_usd, cost_usd, assumed FROM reservations
        WHERE run_id = %(run_id)s ORDER BY step_seq, reserved_at LIMIT %(most)s
        """,
        {"run_id": run_id, "most": MOST},
    )


async def list_memories(tx: Transaction, ids: Sequence[UUID]) -> list[Memory]:
    """Memories by id, as they are now; what is past its retention is gone."""
    return await tx.all(
        Memory,
        """
        SELECT id, agent_id, scope, scope_id, kind, text, author, source_link, confidence, status,
               effective_at, expires_at, created_at
        FROM memories WHERE id = ANY (%(ids)s) ORDER BY id LIMIT %(most)s
        """,
        {"ids": list(ids), "most": MOST},
    )


async def find_applied_event(
    tx: Transaction, agent_id: AgentId | None, revision: int
) -> int | None:
    """The event that says that a revision was applied: an agent's, or (None) the workspace's."""
    return await tx.value(
        """
        SELECT id FROM audit_events
        WHERE kind = %(kind)s AND (%(agent)s::uuid IS NULL OR subject = %(agent)s)
          AND detail->>'revision' = %(revision)s::text
        ORDER BY id DESC LIMIT 1
        """,
        {
            "kind": "workspace.applied" if agent_id is None else "agent.applied",
            "agent": agent_id,
            "revision": str(revision),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """A manifest that decided beside the one that the run began with."""

    kind: Literal["Agent", "Workspace"]
    number: int
    source: str
    digest: str
    applied_at: datetime


async def list_governed(tx: Transaction, run_id: RunId) -> list[Governed]:
    """The Workspace manifest of then, and what was applied of both kinds while the run lasted."""
    return await tx.all(
        Governed,
        """
        WITH r AS (SELECT agent_id, revision_id, queued_at,
                          coalesce(ended_at, openloop.now()) AS ended_at
                   FROM runs WHERE id = %(run_id)s)
        SELECT 'Workspace' AS kind, w.number, w.source, w.digest, w.applied_at
        FROM workspace_revisions w, r
        WHERE w.applied_at <= r.ended_at AND w.number >= coalesce((
            SELECT max(b.number) FROM workspace_revisions b WHERE b.applied_at <= r.queued_at), 0)
        UNION ALL
        SELECT 'Agent', a.number, a.source, a.digest, a.applied_at
        FROM agent_revisions a, r
        WHERE a.agent_id = r.agent_id AND a.id <> r.revision_id
          AND a.applied_at BETWEEN r.queued_at AND r.ended_at
        ORDER BY kind, number LIMIT %(most)s
        """,
        {"run_id": run_id, "most": MOST_MANIFESTS},
    )


def memory_ids(context: dict[str, object] | None) -> list[MemoryId]:
    """Which memories a run's context step recalled."""
    listed = (context or {}).get("memory_ids")
    return [MemoryId(UUID(str(id))) for id in listed] if isinstance(listed, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
