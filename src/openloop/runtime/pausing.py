"""A run whose agent is paused: it waits where people can see it, and goes on when it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import pause as brake

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.pause import Pause
    from openloop.domain.run import Run
    from openloop.runtime.kit import Kit


async def wait(kit: Kit, work: Work, run: Run, pause: Pause) -> bool:
    """Let the run wait, and say so in its thread; False where it must look again.

    No timer brings it back, not that of an approval either: the one who resumes wakes it.
    """
    row, released = await brake.wait_for_resumption(kit.database, work, run, pause)
    if row is not None:
        await kit.courier.forward(work.claim.ref, [row], work.conversation.thread)
    return released
