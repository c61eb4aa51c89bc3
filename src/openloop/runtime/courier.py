"""The courier: carries ops from the outbox to their surfaces, in order per conversation.

An op that may have been sent is looked up before anything is sent again. Nothing is repeated
blindly, and nothing is dropped because a platform was busy.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from openloop.domain.outbox import decode
from openloop.domain.surface import Receipt, SetStatus, Settle
from openloop.storage import conversations, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from openloop.domain.conversation import ConversationRef
    from openloop.domain.ids import ConversationId, OpId, WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.surface import Op, Thread
    from openloop.plugin import Surface
    from openloop.storage.database import Database

log = structlog.get_logger(__name__)

LOOK_UP_AFTER_SECONDS = 1.5
LOOK_UPS = 60
"""About an hour: a platform that loses an answer is often down, and cannot be asked, either."""
BREAKS = 10
"""How often a surface may break at an op: more often than an op that was only put off counts."""
BACKOFF_SECONDS = (0.5, 1, 2, 5, 10, 30, 60)


class Courier:
    """Sends what is in the outbox; `me` owns what it is sending."""

    def __init__(self, database: Database, surfaces: Mapping[str, Surface], me: UUID) -> None:
        self._database = database
        self._surfaces = surfaces
        self._me = me
        self._behind: set[ConversationId] = set()
        self._sending: dict[OpId, WorkspaceId] = {}

    async def renew(self) -> None:
        """Keep the ops that are being sent: a send that takes long is not a courier that died."""
        by_workspace: dict[WorkspaceId, list[OpId]] = {}
        for op, workspace in self._sending.items():
            by_workspace.setdefault(workspace, []).append(op)
        for workspace, ops in by_workspace.items():
            async with self._database.transaction(workspace) as tx:
                await outbox.renew(tx, ops, sender=self._me)

    async def _deliver(
        self, workspace: WorkspaceId, row: OutboxRow, thread: Thread, *, was_sending: bool = False
    ) -> bool:
        """Send an op that this courier holds and record it; True where the next may follow.

        What somebody was sending is looked up first, under the same lease: two that look at once
        would both find nothing, and both send.
        """
        self._sending[row.id] = workspace
        try:
            receipt = await self._look_up(row, thread) if was_sending else None
            if receipt is None:
                receipt = await self.send(workspace, row, thread)
            return await self.record(workspace, row, receipt)
        finally:
            self._sending.pop(row.id, None)

    async def send(self, workspace: WorkspaceId, row: OutboxRow, thread: Thread) -> Receipt:
        """Carry out an op that this courier holds; what came of it is not recorded yet."""
        surface = self._surfaces.get(thread.place.surface)
        if surface is None:
            return Receipt(outcome="retry", detail=f"{thread.place.surface} is not configured")
        ops = await self._located(workspace, row, decode(row.op))
        receipt = Receipt(outcome="done")
        for index, op in enumerate(ops):
            key = str(row.id) if index == 0 else f"{row.id}.{index}"
            try:
                receipt = await surface.perform(op, thread, key=key)
            except Exception as error:  # noqa: BLE001  # the courier around a delivery
                return _broken(row, error)
            if receipt.outcome != "done":
                return receipt
        return receipt

    async def forward(
        self, ref: ConversationRef, rows: Sequence[OutboxRow], thread: Thread
    ) -> None:
        """Send ops right after the commit that queued them, as far as they are this courier's turn.

        One that stands behind another is left to `drain`, and the conversation noted as behind.
        """
        for row in rows:
            if row.state != "sending":
                self._behind.add(ref.id)
                return
            if not await self._deliver(ref.workspace, row, thread):
                self._behind.add(ref.id)
                return

    async def catch_up(self, ref: ConversationRef) -> None:
        """Drain a conversation in which `forward` had to leave something."""
        if ref.id in self._behind:
            self._behind.discard(ref.id)
            await self.drain(ref)

    async def drain(self, ref: ConversationRef) -> None:
        """Send whatever of a conversation is due, in order, until something has to wait."""
        while True:
            async with self._database.transaction(ref.workspace) as tx:
                claimed = await outbox.claim_next(tx, ref.id, sender=self._me)
                if claimed is None:
                    return
                thread = (await conversations.get(tx, ref.id)).thread
            row, was_sending = claimed
            if not await self._deliver(ref.workspace, row, thread, was_sending=was_sending):
                return

    async def record(self, workspace: WorkspaceId, row: OutboxRow, receipt: Receipt) -> bool:
        """Write down what became of an op; True where the next op may follow."""
        is_status = row.op["op"] == SetStatus.__name__
        if receipt.outcome == "refused":
            log.warning("op refused", op=row.op["op"], detail=receipt.detail)
        async with self._database.transaction(workspace) as tx:
            match receipt.outcome:
                case _ if is_status:
                    await outbox.close_status(tx, row.id, sender=self._me, receipt=receipt)
                    return True
                case "done":
                    await outbox.mark_sent(
                        tx, row.id, sender=self._me, message_ids=receipt.message_ids
                    )
                    return True
                case "refused":
                    await outbox.close(
                        tx, row.id, sender=self._me, state="refused", detail=receipt.detail
                    )
                    return True
                case "retry":
                    seconds = BACKOFF_SECONDS[min(row.attempts, len(BACKOFF_SECONDS) - 1)]
                    not_before = receipt.retry_at or (await tx.now()) + timedelta(seconds=seconds)
                    await outbox.put_back(
                        tx,
                        row.id,
                        sender=self._me,
                        not_before=not_before,
                        detail=receipt.detail,
                        most=len(BACKOFF_SECONDS),
                    )
                    return False
                case "unknown" if row.attempts >= LOOK_UPS:
                    await outbox.close(
                        tx,
                        row.id,
                        sender=self._me,
                        state="refused",
                        detail="unknown: the platform never said whether it is there",
                    )
                    log.error("op unknown for good", op=row.op["op"])
                    return True
                case "unknown":
                    pause = BACKOFF_SECONDS[min(row.attempts, len(BACKOFF_SECONDS) - 1)]
                    seconds = max(LOOK_UP_AFTER_SECONDS, pause)
                    soonest = (await tx.now()) + timedelta(seconds=seconds)
                    until = max(receipt.retry_at or soonest, soonest)
                    await outbox.lapse(tx, row.id, sender=self._me, until=until)
                    return False

    async def _look_up(self, row: OutboxRow, thread: Thread) -> Receipt | None:
        """What became of an op that may have been sent; None where it is certainly not there."""
        surface = self._surfaces.get(thread.place.surface)
        op = decode(row.op)
        if isinstance(op, SetStatus):
            # Worth showing now or never: whoever began to show it shows the next one too.
            return Receipt(outcome="unknown", detail="overtaken")
        if surface is None or isinstance(op, Settle):
            # Setting the same card again changes nothing.
            return None
        try:
            receipt = await surface.look_up(op, thread, key=str(row.id))
        except Exception as error:  # noqa: BLE001  # the courier around a delivery
            return _broken(row, error)
        return None if receipt.outcome == "retry" else receipt

    async def _located(self, workspace: WorkspaceId, row: OutboxRow, op: Op) -> list[Op]:
        """A settled card is an op per rendered copy: where they are is known only now."""
        if not isinstance(op, Settle) or row.approval_id is None:
            return [op]
        async with self._database.transaction(workspace) as tx:
            copies = await outbox.list_copies(tx, row.approval_id)
        # A card that is asked anew after `row` was written is not touched by it.
        return [
            replace(op, message_id=copy.message_ids[0])
            for copy in copies
            if copy.message_ids and copy.seq < row.seq
        ]


def _broken(row: OutboxRow, error: Exception) -> Receipt:
    """A surface broke at an op, which may be there: looked up, and given up after a few times."""
    log.error("surface broke", op=row.op["op"], error=type(error).__name__, exc_info=True)
    outcome = "refused" if row.attempts >= BREAKS else "unknown"
    return Receipt(outcome=outcome, detail=f"the surface broke: {type(error).__name__}")
