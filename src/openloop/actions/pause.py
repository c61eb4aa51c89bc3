"""The brake: pausing an agent, a workspace or everything, and resuming it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.errors import NotFound
from openloop.domain.ids import AgentId
from openloop.domain.pause import Pause, Paused, PauseScope
from openloop.domain.run import RunState
from openloop.domain.surface import SetStatus
from openloop.storage import agents, audit, conversations, outbox, pauses, runs

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.actions.claims import Work
    from openloop.domain.audit import Who
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.storage.database import Database, Transaction


async def pause(
    database: Database,
    workspace: WorkspaceId,
    *,
    scope: PauseScope,
    agent: str | None = None,
    reason: str,
    by: Who,
) -> Pause:
    """Pause; once this has returned, nothing of the scope starts that is not on record already.

    What is paused already stays paused as it was. Model calls and effects that had begun are
    finished and recorded.

    Raises:
        NotFound: no such agent
    """
    async with database.transaction(workspace) as tx:
        # First of all, so that nobody waits for us who holds something that we want.
        await pauses.be_patient(tx)
        await pauses.await_intents(tx)
        subject = await _subject(tx, workspace, scope, agent)
        if await pauses.put(tx, workspace, scope=scope, subject=subject, reason=reason, by=by):
            await audit.append(
                tx,
                workspace,
                "brake.paused",
                actor=by,
                subject=subject,
                scope=scope,
                agent=agent or "",
                reason=reason,
            )
        found = [
            p for p in await pauses.list_current(tx) if (p.scope, p.subject) == (scope, subject)
        ]
    return found[0]


async def resume(
    database: Database,
    workspace: WorkspaceId,
    *,
    scope: PauseScope,
    agent: str | None = None,
    by: Who,
) -> None:
    """Lift a pause; every run that waits in its scope is looked at again.

    Raises:
        NotFound: nothing of the kind is paused
    """
    async with database.transaction(workspace) as tx:
        subject = await _subject(tx, workspace, scope, agent)
        if not await pauses.lift(tx, scope=scope, subject=subject):
            message = (
                f"The agent {agent!r} is not paused" if agent else f"The {scope} is not paused"
            )
            raise NotFound(message)
        await pauses.wake_waiting(tx, AgentId(subject) if scope is PauseScope.AGENT else None)
        await audit.append(
            tx,
            workspace,
            "brake.resumed",
            actor=by,
            subject=subject,
            scope=scope,
            agent=agent or "",
        )


async def _subject(
    tx: Transaction, workspace: WorkspaceId, scope: PauseScope, agent: str | None
) -> UUID:
    if scope is PauseScope.AGENT:
        return (await agents.get_agent(tx, agent or "")).id
    return workspace


def refuse_if_paused(pause: Pause | None) -> None:
    """Nothing is decided while its agent is paused.

    Raises:
        Paused
    """
    if pause is not None:
        message = f"{pause.sentence}. Nothing can be decided until it is resumed"
        raise Paused(message)


async def wait_for_resumption(
    database: Database, work: Work, run: Run, pause: Pause
) -> tuple[OutboxRow | None, bool]:
    """Let a paused run wait, and say so in its thread; False where it has to look again.

    What is returned first has to be sent by the caller.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        row = None
        if run.state is not RunState.WAITING or work.unread:
            status = SetStatus(text=f"is paused: {pause.reason}", state="waiting")
            row = await outbox.put(
                tx,
                work.workspace,
                work.conversation.id,
                status,
                run_id=run.id,
                sender=work.claim.worker,
            )
        if run.state is not RunState.WAITING:
            await runs.set_state(tx, run.id, RunState.WAITING)
        return row, await conversations.release(tx, work.claim)
