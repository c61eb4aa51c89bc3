"""The outbox: ops in order per conversation, each with a stable idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.ids import ConversationId, OpId, new_id
from openloop.domain.outbox import OutboxRow, encode
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from openloop.domain.ids import ApprovalId, RunId, WorkspaceId
    from openloop.domain.surface import Op, Receipt
    from openloop.storage.database import Pending, Transaction

SEND_LEASE_SECONDS = 8
_COLUMNS = (
    "id, seq, conversation_id, run_id, approval_id, op, state, attempts, message_ids, not_before"
)


async def put(
    tx: Transaction,
    workspace: WorkspaceId,
    conversation_id: ConversationId,
    op: Op,
    *,
    run_id: RunId | None = None,
    approval_id: ApprovalId | None = None,
    sender: UUID | None = None,
) -> OutboxRow:
    """Queue an op behind what the conversation already has; see `add`."""
    added = await add(
        tx,
        workspace,
        conversation_id,
        op,
        run_id=run_id,
        approval_id=approval_id,
        sender=sender,
    )
    return await added.one()


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    conversation_id: ConversationId,
    op: Op,
    *,
    run_id: RunId | None = None,
    approval_id: ApprovalId | None = None,
    sender: UUID | None = None,
) -> Pending[OutboxRow]:
    """Queue an op behind what the conversation already has; its row can be read after the commit.

    With `sender` the op is taken for sending at once, if nothing is before it: the caller then
    sends it right after the commit, and no second transaction is needed to claim it. The caller
    holds the conversation's row lock, so that nobody slips in between.
    """
    return await tx.ask(
        OutboxRow,
        f"""
        INSERT INTO outbox (workspace_id, id, conversation_id, run_id, approval_id, op, state, sender,
                            lease_until)
        SELECT %(workspace)s, %(id)s, %(conversation_id)s, %(run_id)s, %(approval_id)s, %(op)s,
               CASE WHEN free THEN 'sending' ELSE 'queued' END, CASE WHEN free THEN %(sender)s::uuid END,
               CASE WHEN free THEN openloop.now() + make_interval(secs => %(lease)s) END
        FROM (SELECT %(sender)s::uuid IS NOT NULL AND NOT EXISTS (
                SELECT FROM outbox WHERE conversation_id = %(conversation_id)s
                AND state IN ('queued', 'sending')) AS free) AS line
        RETURNING {_COLUMNS}
        """,  # noqa: S608  # a constant column list
        {
            "workspace": workspace,
            "id": OpId(new_id()),
            "conversation_id": conversation_id,
            "run_id": run_id,
            "approval_id": approval_id,
            "op": rows.json(encode(op)),
            "sender": sender,
            "lease": SEND_LEASE_SECONDS,
        },
    )


async def claim_next(
    tx: Transaction, conversation_id: ConversationId, *, sender: UUID
) -> tuple[OutboxRow, bool] | None:
    """Take the oldest open op, if it is due and nobody is sending it.

    The second value says that somebody began to send it and never said how it went: then it is
    looked up before anything is sent.
    """
    found = await tx.tuples(
        """
        SELECT id, state FROM outbox
        WHERE conversation_id = %(id)s AND state IN ('queued', 'sending')
        ORDER BY seq LIMIT 1 FOR UPDATE
        """,
        {"id": conversation_id},
    )
    if not found:
        return None
    row = await tx.find(
        OutboxRow,
        f"""
        UPDATE outbox SET state = 'sending', sender = %(sender)s,
            lease_until = openloop.now() + make_interval(secs => %(lease)s)
        WHERE id = %(id)s
          AND (state = 'queued' AND (not_before IS NULL OR not_before <= openloop.now())
               OR state = 'sending' AND lease_until < openloop.now())
        RETURNING {_COLUMNS}
        """,  # noqa: S608  # a constant column list
        {"id": found[0][0], "sender": sender, "lease": SEND_LEASE_SECONDS},
    )
    return None if row is None else (row, found[0][1] == "sending")


async def mark_sent(tx: Transaction, id: OpId, *, sender: UUID, message_ids: Sequence[str]) -> bool:
    """It is there; False where somebody else took over in between."""
    return bool(
        await tx.run(
            """
            UPDATE outbox SET state = 'sent', message_ids = %(message_ids)s, sent_at = openloop.now(),
                attempts = attempts + 1, lease_until = NULL
            WHERE id = %(id)s AND sender = %(sender)s AND state = 'sending'
            """,
            {"id": id, "sender": sender, "message_ids": list(message_ids)},
        )
    )


async def renew(tx: Transaction, ids: Sequence[OpId], *, sender: UUID) -> None:
    """Push out the leases of ops that are being sent."""
    await tx.send(
        """
        UPDATE outbox SET lease_until = openloop.now() + make_interval(secs => %(lease)s)
        WHERE id = ANY(%(ids)s) AND sender = %(sender)s AND state = 'sending'
        """,
        {"ids": list(ids), "sender": sender, "lease": SEND_LEASE_SECONDS},
    )


async def put_back(
    tx: Transaction,
    id: OpId,
    *,
    sender: UUID,
    not_before: datetime | None,
    detail: str,
    most: int,
) -> None:
    """Nothing was sent: try again, not before the given time.

    Such tries count up to `most` only: they say nothing about an answer that is lost later.
    """
    await tx.send(
        """
        UPDATE outbox SET state = 'queued', attempts = greatest(attempts, least(attempts + 1, %(most)s)),
            lease_until = NULL, sender = NULL, not_before = %(not_before)s, detail = %(detail)s
        WHERE id = %(id)s AND sender = %(sender)s AND state = 'sending'
        """,
        {"id": id, "sender": sender, "not_before": not_before, "detail": detail, "most": most},
    )


async def lapse(tx: Transaction, id: OpId, *, sender: UUID, until: datetime) -> None:
    """It may have been sent: leave it as being sent, to be looked up at the given time."""
    await tx.send(
        """
        UPDATE outbox SET lease_until = %(until)s, attempts = attempts + 1
        WHERE id = %(id)s AND sender = %(sender)s AND state = 'sending'
        """,
        {"id": id, "sender": sender, "until": until},
    )


async def close(tx: Transaction, id: OpId, *, sender: UUID, state: str, detail: str) -> None:
    """The platform will never take it (refused), or it is not worth sending any more (dropped)."""
    await tx.send(
        """
        UPDATE outbox SET state = %(state)s, detail = %(detail)s, attempts = attempts + 1,
            lease_until = NULL, sent_at = openloop.now()
        WHERE id = %(id)s AND sender = %(sender)s AND state = 'sending'
        """,
        {"id": id, "sender": sender, "state": state, "detail": detail},
    )


async def close_status(tx: Transaction, id: OpId, *, sender: UUID, receipt: Receipt) -> None:
    """A status is worth showing now or never: whatever came of it, it is not tried again."""
    states = {"done": "sent", "refused": "refused"}
    await tx.send(
        """
        UPDATE outbox SET state = %(state)s, message_ids = %(message_ids)s, detail = %(detail)s,
            attempts = attempts + 1, lease_until = NULL, sent_at = openloop.now()
        WHERE id = %(id)s AND sender = %(sender)s AND state = 'sending'
        """,
        {
            "id": id,
            "sender": sender,
            "state": states.get(receipt.outcome, "dropped"),
            "message_ids": list(receipt.message_ids),
            "detail": receipt.detail,
        },
    )


async def drop_statuses(
    tx: Transaction, conversation_id: ConversationId, *, sender: UUID | None
) -> None:
    """Statuses that nobody is sending are overtaken by what comes.

    `sender` is who may be sending one now, besides workers that are gone; None: nobody is.
    """
    await tx.send(
        """
        UPDATE outbox SET state = 'dropped', detail = 'overtaken', lease_until = NULL
        WHERE conversation_id = %(id)s AND op->>'op' = 'SetStatus'
          AND (state = 'queued'
               OR state = 'sending' AND sender IS DISTINCT FROM %(sender)s::uuid)
        """,
        {"id": conversation_id, "sender": sender},
    )


async def list_copies(tx: Transaction, approval_id: ApprovalId) -> list[OutboxRow]:
    """Every rendered copy of an approval's card, sent or on its way."""
    return await tx.all(
        OutboxRow,
        f"""
        SELECT {_COLUMNS} FROM outbox
        WHERE approval_id = %(id)s AND op->>'op' = 'Ask' AND state <> 'dropped' ORDER BY seq
        """,  # noqa: S608  # a constant column list
        {"id": approval_id},
    )


async def list_of_run(tx: Transaction, run_id: RunId) -> list[OutboxRow]:
    """What a run sent, in order."""
    return await tx.all(
        OutboxRow,
        f"SELECT {_COLUMNS} FROM outbox WHERE run_id = %(id)s ORDER BY seq",  # noqa: S608
        {"id": run_id},
    )


async def list_after(
    tx: Transaction, conversation_id: ConversationId, seq: int, *, limit: int
) -> list[OutboxRow]:
    """What a conversation was sent after `seq`, in order."""
    return await tx.all(
        OutboxRow,
        f"""
        SELECT {_COLUMNS} FROM outbox
        WHERE conversation_id = %(id)s AND seq > %(seq)s ORDER BY seq LIMIT %(limit)s
        """,  # noqa: S608  # a constant column list
        {"id": conversation_id, "seq": seq, "limit": limit},
    )


async def list_due(tx: Transaction, *, limit: int) -> list[ConversationId]:
    """Conversations whose oldest open op is due: queued and past its time, or its sender is gone."""
    found = await tx.tuples(
        """
        SELECT conversation_id FROM (
            SELECT DISTINCT ON (conversation_id) conversation_id, state, not_before, lease_until
            FROM outbox WHERE state IN ('queued', 'sending') ORDER BY conversation_id, seq) AS oldest
        WHERE state = 'queued' AND (not_before IS NULL OR not_before <= openloop.now())
           OR state = 'sending' AND lease_until < openloop.now()
        LIMIT %(limit)s
        """,
        {"limit": limit},
    )
    return [ConversationId(row[0]) for row in found]
