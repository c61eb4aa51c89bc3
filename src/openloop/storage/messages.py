"""Messages that people sent to an agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString

from openloop.domain.ids import ConversationId, MessageId, RunId, new_id
from openloop.domain.priority import Priority
from openloop.domain.surface import Actor
from openloop.storage import conversations, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.audit import Who
    from openloop.domain.ids import AgentId, RevisionId, WorkspaceId
    from openloop.domain.surface import Inbound
    from openloop.storage.database import Transaction


AT_ONCE = 50
"""How many messages are read at a time; whoever reads that many has to look again."""
STOP = "stop"
"""The text of every message that stops a run, however it was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; `run_id` is the run it opened or was taken by.

    `has_left`: its author is somebody who was offboarded here, whatever the platform says of them.
    `is_deleted`: it was taken back before anybody had read it.
    """

    id: MessageId
    conversation_id: ConversationId
    run_id: RunId | None
    external_id: str
    actor: Actor
    text: str
    link: str
    sent_at: datetime
    has_left: bool = False
    is_deleted: bool = False


_UNREAD: LiteralString = """
    SELECT id, conversation_id, run_id, external_id, actor, text, link, sent_at, is_deleted,
           EXISTS (SELECT FROM identities i JOIN principals p ON p.id = i.principal_id
                   WHERE i.external_id = actor->>'id' AND i.surface = actor->>'surface'
                     AND i.tenant IN (actor->>'tenant', '') AND p.left_at IS NOT NULL) AS has_left
    FROM messages WHERE conversation_id = %(id)s AND read_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Where a message went; `run_id` None where it steers the run that is active already."""

    conversation_id: ConversationId
    run_id: RunId | None


async def arrive(
    tx: Transaction,
    workspace: WorkspaceId,
    inbound: Inbound,
    *,
    conversation_id: ConversationId,
    agent_id: AgentId,
    revision_id: RevisionId,
    by: Who,
) -> Arrived:
    """Open the conversation, queue a run unless one is active, store the message, audit it, wake.

    One statement, because every mention passes here before it is acknowledged.
    """
    arrived = await tx.find(
        Arrived,
        """
        WITH c AS (
            INSERT INTO conversations (workspace_id, id, agent_id, surface, tenant, container, root, wakes,
                                       priority)
            VALUES (%(workspace)s, %(conversation_id)s, %(agent_id)s, %(surface)s, %(tenant)s,
                    %(container)s, %(root)s, 1, %(priority)s)
            ON CONFLICT (workspace_id, surface, tenant, container, root)
            DO UPDATE SET wakes = conversations.wakes + 1
            RETURNING id, priority),
        r AS (
            INSERT INTO runs (workspace_id, id, conversation_id, agent_id, revision_id, state,
                              requested_by, request, request_link)
            SELECT %(workspace)s, %(run_id)s, c.id, %(agent_id)s, %(revision_id)s, 'queued', %(actor)s,
                   %(text)s, %(link)s FROM c
            ON CONFLICT (workspace_id, conversation_id)
                WHERE state IN ('queued', 'working', 'waiting') DO NOTHING
            RETURNING id),
        m AS (
            INSERT INTO messages (workspace_id, id, conversation_id, run_id, external_id, actor, text,
                                  typed, link, sent_at)
            SELECT %(workspace)s, %(message_id)s, c.id, (SELECT id FROM r), %(external_id)s, %(actor)s,
                   %(text)s, %(typed)s, %(link)s, %(sent_at)s FROM c
            RETURNING id),
        a AS (
            INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
            SELECT %(workspace)s, CASE WHEN r.id IS NULL THEN 'message.received' ELSE 'run.queued' END,
                   %(by)s, coalesce(r.id, m.id), r.id,
                   jsonb_build_object('conversation', c.id, 'link', %(link)s::text)
            FROM c CROSS JOIN m LEFT JOIN r ON true)
        SELECT c.id AS conversation_id, r.id AS run_id, openloop.wake(%(workspace)s, c.id, c.priority)
        FROM c LEFT JOIN r ON true
        """,
        {
            "workspace": workspace,
            "conversation_id": conversation_id,
            "agent_id": agent_id,
            "revision_id": revision_id,
            "run_id": new_id(),
            "message_id": new_id(),
            "external_id": inbound.message_id,
            "actor": rows.json(inbound.actor),
            "by": rows.json(by),
            "text": inbound.text,
            "typed": inbound.typed.replace("\0", ""),
            "link": inbound.link,
            "sent_at": inbound.occurred_at,
            "priority": int(Priority.of(inbound.priority)),
            **conversations.address(inbound.thread),
        },
    )
    assert arrived is not None  # noqa: S101  # INSERT ... RETURNING gives its row
    return arrived


async def list_unread(tx: Transaction, conversation_id: ConversationId) -> list[Message]:
    """What nobody has read yet, oldest first; at most `AT_ONCE`, and the stops behind them."""
    found = await tx.all(
        Message,
        _UNREAD + " ORDER BY id LIMIT %(limit)s",
        {"id": conversation_id, "limit": AT_ONCE},
    )
    if len(found) < AT_ONCE:
        return found
    return found + await tx.all(
        Message,
        _UNREAD + " AND id > %(last)s AND text = %(stop)s ORDER BY id LIMIT %(limit)s",
        {"id": conversation_id, "last": found[-1].id, "stop": STOP, "limit": AT_ONCE},
    )


async def mark_read(tx: Transaction, ids: Sequence[MessageId], *, run_id: RunId | None) -> None:
    """Note that a run has taken these in (or, without a run, that nobody will)."""
    await tx.send(
        """
        UPDATE messages SET read_at = openloop.now(), run_id = coalesce(run_id, %(run_id)s)
        WHERE id = ANY(%(ids)s)
        """,
        {"ids": list(ids), "run_id": run_id},
    )


async def mark_read_until(
    tx: Transaction, conversation_id: ConversationId, last: MessageId, *, run_id: RunId | None
) -> None:
    """The same for everything up to a message, also what was not listed."""
    await tx.send(
        """
        UPDATE messages SET read_at = openloop.now(), run_id = coalesce(run_id, %(run_id)s)
        WHERE conversation_id = %(id)s AND read_at IS NULL AND id <= %(last)s
        """,
        {"id": conversation_id, "last": last, "run_id": run_id},
    )


async def assign(tx: Transaction, id: MessageId, run_id: RunId) -> None:
    """Note which run this message opens; it is still unread."""
    await tx.send(
        "UPDATE messages SET run_id = %(run_id)s WHERE id = %(id)s", {"id": id, "run_id": run_id}
    )


async def replace_text(
    tx: Transaction,
    conversation_id: ConversationId,
    external_id: str,
    *,
    text: str,
    is_deleted: bool,
) -> None:
    """A message was edited or deleted: what is unread is read as it stands now.

    The request of a run that it opened and that has not begun is the new text, too.
    """
    await tx.send(
        """
        WITH m AS (
            UPDATE messages SET text = %(text)s, is_deleted = %(is_deleted)s
            WHERE conversation_id = %(conversation_id)s AND external_id = %(external_id)s
              AND read_at IS NULL
            RETURNING run_id)
        UPDATE runs r SET request = %(text)s FROM m WHERE r.id = m.run_id AND r.state = 'queued'
        """,
        {
            "conversation_id": conversation_id,
            "external_id": external_id,
            "text": text,
            "is_deleted": is_deleted,
        },
    )


async def sweep(tx: Transaction, *, keep_days: int, limit: int) -> int:
    """Empty the text of messages past their retention; the rows stay as evidence."""
    return await tx.run(
        """
        UPDATE messages SET text = '' WHERE id IN (
            SELECT id FROM messages
            WHERE received_at < openloop.now() - make_interval(days => %(days)s) AND text <> ''
            LIMIT %(limit)s)
        """,
        {"days": keep_days, "limit": limit},
    )


async def find_opening(tx: Transaction, run_id: RunId) -> str | None:
    """The platform's id of the message that opened a run."""
    return await tx.value(
        "SELECT external_id FROM messages WHERE run_id = %(id)s ORDER BY id LIMIT 1", {"id": run_id}
    )
