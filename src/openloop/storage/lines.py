"""Lines: runs that wait because their agent or workspace may have only so many at a time.

A run takes part in the count while somebody holds its conversation: one that waits for people is in
nobody's way. Who stands in line is let in by priority, then by the time at which it was queued, and
nobody overtakes. What waits for its agent's limit does not stand in the workspace's line, so an agent
with a long line keeps no other agent's run from starting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId
from openloop.domain.priority import Priority

if TYPE_CHECKING:
    from openloop.domain.conversation import Claim, Conversation
    from openloop.domain.ids import AgentId, WorkspaceId
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction

Line = Literal["agent", "workspace"]

HEADS = 4
"""How many of each line are looked at by a sweep: those in front, of whom the first may be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """How many runs an agent and a workspace may have at a time; None means any number."""

    agent: int | None
    workspace: int | None

    def __bool__(self) -> bool:
        """False where nothing is limited: then nobody counts."""
        return self.agent is not None or self.workspace is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What is in front of a run: at work, and before it in line."""

    agent: int
    workspace: int


async def line_for(
    tx: Transaction, workspace: WorkspaceId, conversation: Conversation, run: Run, most: Most
) -> Line | None:
    """The line that the run of a claimed conversation has to stand in; None where there is room.

    Whoever asks at the same time waits here until this transaction has ended, so that two never take
    one place. The caller has claimed the conversation before: no other row is locked after this.
    """
    for limit, id in ((most.workspace, workspace), (most.agent, run.agent_id)):
        if limit is not None:
            await tx.send(
                "SELECT pg_advisory_xact_lock(hashtextextended(%(id)s::text, 5))", {"id": id}
            )
    # A statement of its own: it sees what those who had the lock before have committed.
    counted = await tx.find(
        _Counted,
        """
        SELECT
            (SELECT count(*) FROM (
                SELECT FROM conversations c JOIN runs r ON r.conversation_id = c.id
                WHERE c.lease_until > openloop.now() AND c.id <> %(id)s AND r.agent_id = %(agent)s
                  AND r.state IN ('queued', 'working', 'waiting') LIMIT %(agent_most)s) AS working)
            + (SELECT count(*) FROM (
                SELECT FROM conversations WHERE line IS NOT NULL AND line_agent = %(agent)s
                  AND (priority, line_since, id) < (%(priority)s, %(since)s, %(id)s)
                LIMIT %(agent_most)s) AS ahead) AS agent,
            (SELECT count(*) FROM (
                SELECT FROM conversations c JOIN runs r ON r.conversation_id = c.id
                WHERE c.lease_until > openloop.now() AND c.id <> %(id)s
                  AND r.state IN ('queued', 'working', 'waiting') LIMIT %(workspace_most)s) AS working)
            + (SELECT count(*) FROM (
                SELECT FROM conversations WHERE line = 'workspace'
                  AND (priority, line_since, id) < (%(priority)s, %(since)s, %(id)s)
                LIMIT %(workspace_most)s) AS ahead) AS workspace
        """,
        {
            "id": conversation.id,
            "agent": run.agent_id,
            "agent_most": most.agent or 0,
            "workspace_most": most.workspace or 0,
            "priority": int(conversation.priority),
            "since": run.queued_at,
        },
    )
    assert counted is not None  # noqa: S101  # two numbers in any case
    if most.agent is not None and counted.agent >= most.agent:
        return "agent"
    if most.workspace is not None and counted.workspace >= most.workspace:
        return "workspace"
    return None


async def stand(tx: Transaction, claim: Claim, run: Run, line: Line) -> None:
    """Let go of a conversation whose run has to wait; what was said so far is looked at then."""
    await tx.send(
        """
        UPDATE conversations
        SET claimed_by = NULL, lease_until = NULL, wake_at = NULL, handled = %(wakes)s,
            line = %(line)s, line_agent = %(agent)s, line_since = %(since)s
        WHERE id = %(id)s
        """,
        {
            "id": claim.ref.id,
            "wakes": claim.wakes,
            "line": line,
            "agent": run.agent_id,
            "since": run.queued_at,
        },
    )


async def leave(tx: Transaction, id: ConversationId) -> None:
    """Take a conversation out of its line."""
    await tx.send(
        """
        UPDATE conversations SET line = NULL, line_agent = NULL, line_since = NULL WHERE id = %(id)s
        """,
        {"id": id},
    )


async def list_next(
    tx: Transaction, workspace: WorkspaceId, agent_id: AgentId
) -> list[ConversationRef]:
    """Who may be let in now that a run of this agent has let go."""
    found = await tx.tuples(
        """
        (SELECT id, priority FROM conversations WHERE line IS NOT NULL AND line_agent = %(agent)s
         ORDER BY priority, line_since, id LIMIT 1)
        UNION
        (SELECT id, priority FROM conversations WHERE line = 'workspace'
         ORDER BY priority, line_since, id LIMIT 1)
        """,
        {"agent": agent_id},
    )
    return _refs(workspace, found)


async def list_heads(
    tx: Transaction, workspace: WorkspaceId, *, limit: int
) -> list[ConversationRef]:
    """Who stands in front of each line: a limit may have grown, or a worker died without a word."""
    found = await tx.tuples(
        """
        SELECT h.id, h.priority FROM agents a CROSS JOIN LATERAL (
            SELECT id, priority FROM conversations WHERE line IS NOT NULL AND line_agent = a.id
            ORDER BY priority, line_since, id LIMIT %(heads)s) AS h
        UNION
        (SELECT id, priority FROM conversations WHERE line = 'workspace'
         ORDER BY priority, line_since, id LIMIT %(heads)s)
        LIMIT %(limit)s
        """,
        {"heads": HEADS, "limit": limit},
    )
    return _refs(workspace, found)


def _refs(workspace: WorkspaceId, found: list[tuple[object, ...]]) -> list[ConversationRef]:
    return [
        ConversationRef(workspace=workspace, id=ConversationId(id), priority=Priority(priority))  # pyright: ignore[reportArgumentType]
        for id, priority in found
    ]
