"""Whose words count: those of people who may ask. The words of everybody else are thread text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.storage import conversations, requesters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.storage.database import Database
    from openloop.storage.messages import Message


async def leave_out(database: Database, work: Work, messages: Sequence[Message]) -> None:
    """Note that messages were looked at and belong to no run: their authors ask for nothing.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        await requesters.leave_out(tx, [message.id for message in messages])
