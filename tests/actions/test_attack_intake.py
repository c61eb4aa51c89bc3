"""Attacks on the intake: a busy thread loses no message to its own concurrency."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.make import Stage


async def test_a_burst_in_one_thread_is_taken_whole(stage: Stage) -> None:
    """Under concurrent updates an INSERT ... ON CONFLICT can miss the row that is there."""
    ref = await stage.mention("start")

    for _ in range(4):
        await asyncio.gather(*(stage.say("more", addressed="followup") for _ in range(100)))

    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM messages") == 401
        assert await tx.value("SELECT wakes FROM conversations WHERE id = %(id)s", {"id": ref.id}) == 401
