"""Messages that people sent to an agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.domain.ids import ConversationId, MessageId, RunId, WorkspaceId
from openloop.domain.surface import Actor
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Inbound
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; `run_id` is the run it opened or was taken by."""

    id: MessageId
    conversation_id: ConversationId
    run_id: RunId | None
    external_id: str
    actor: Actor
    text: str
    link: str
    sent_at: datetime


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    id: MessageId,
    conversation_id: ConversationId,
    run_id: RunId | None,
    inbound: Inbound,
) -> None:
    """Store what somebody said, unread."""
    await tx.run(
        """
        INSERT INTO messages (workspace_id, id, conversation_id, run_id, external_id, actor, text, link, sent_at)
        VALUES (%(workspace)s, %(id)s, %(conversation_id)s, %(run_id)s, %(external_id)s, %(actor)s,
                %(text)s, %(link)s, %(sent_at)s)
        """,
        {
            "workspace": workspace,
            "id": id,
            "conversation_id": conversation_id,
            "run_id": run_id,
            "external_id": inbound.message_id,
            "actor": rows.json(inbound.actor),
            "text": inbound.text,
            "link": inbound.link,
            "sent_at": inbound.occurred_at,
        },
    )


async def list_unread(tx: Transaction, conversation_id: ConversationId) -> list[Message]:
    """What nobody has read yet, oldest first; at most 50 at a time."""
    return await tx.all(
        Message,
        """
        SELECT id, conversation_id, run_id, external_id, actor, text, link, sent_at FROM messages
        WHERE conversation_id = %(id)s AND read_at IS NULL ORDER BY id LIMIT 50
        """,
        {"id": conversation_id},
    )


async def mark_read(
    tx: Transaction, ids: Sequence[MessageId], *, run_id: RunId | None
) -> None:
    """Note that a run has taken these in (or, without a run, that nobody will)."""
    await tx.run(
        """
        UPDATE messages SET read_at = openloop.now(), run_id = coalesce(run_id, %(run_id)s)
        WHERE id = ANY(%(ids)s)
        """,
        {"ids": list(ids), "run_id": run_id},
    )


async def replace_text(
    tx: Transaction, conversation_id: ConversationId, external_id: str, *, text: str
) -> None:
    """The author edited or deleted a message: what is unread is read as it stands now."""
    await tx.run(
        """
        UPDATE messages SET text = %(text)s
        WHERE conversation_id = %(conversation_id)s AND external_id = %(external_id)s AND read_at IS NULL
        """,
        {"conversation_id": conversation_id, "external_id": external_id, "text": text},
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
