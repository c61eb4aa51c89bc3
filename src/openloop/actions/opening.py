"""An approval with its rows locked, and everything that a decision about it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.storage import approvals, conversations, queue, runs

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """What a decision looks at; both rows are locked until the transaction ends."""

    approval: Approval
    run: Run
    governing: Governing


async def open_approval(tx: Transaction, configuration: Configuration, id: ApprovalId) -> Open:
    """The approval, by the rules of now.

    Solo mode has to hold now, too: a click is decided by the stricter of both times.

    Raises:
        NotFound
    """
    approval = await approvals.get(tx, id)
    # Workers lock the conversation before anything else; in any other order the two would meet.
    await conversations.lock(tx, approval.conversation_id)
    approval = await approvals.lock(tx, id)
    run = await runs.get(tx, approval.run_id)
    governing = await configuration.governing(tx, run.agent_id, run.revision_id)
    solo = approval.solo_mode and governing.workspace.spec.solo_mode
    return Open(approval=replace(approval, solo_mode=solo), run=run, governing=governing)


async def wake_decided(tx: Transaction, workspace: WorkspaceId, approval: Approval) -> None:
    """Wake the run that was held, and one whose asks wait until people have room."""
    await approvals.wake_parked(tx, limit=1)
    await conversations.bump(tx, approval.conversation_id)
    await queue.wake(tx, workspace, approval.conversation_id)
