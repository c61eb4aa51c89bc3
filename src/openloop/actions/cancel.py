"""Asking a run to stop at its next boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.errors import Conflict
from openloop.storage import audit, conversations, queue, runs

if TYPE_CHECKING:
    from openloop.domain.audit import Who
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.run import Run
    from openloop.storage.database import Database


class RunIsOver(Conflict):
    """The run has ended already."""

    code = "run_is_over"


async def cancel(database: Database, workspace: WorkspaceId, run_id: RunId, *, by: Who) -> Run:
    """Note who wants the run stopped, and wake it.

    Raises:
        NotFound, RunIsOver
    """
    async with database.transaction(workspace) as tx:
        run = await runs.get(tx, run_id)
        # The conversation first, as workers do: in any other order the two would meet.
        await conversations.bump(tx, run.conversation_id)
        if not await runs.ask_cancel(tx, run_id, by):
            raise RunIsOver(f"Run {run_id} is {run.state} already")
        await audit.append(tx, workspace, "run.stop_asked", actor=by, subject=run_id, run_id=run_id)
        await queue.wake(tx, workspace, run.conversation_id)
        return await runs.get(tx, run_id)
