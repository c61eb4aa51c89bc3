"""Taking a conversation, reading everything about it at once, and letting it go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.actions.receive import is_stop
from openloop.domain.errors import NotFound
from openloop.domain.ids import RunId, new_id
from openloop.domain.surface import SetStatus
from openloop.storage import (
    agents,
    approvals,
    audit,
    conversations,
    lines,
    messages,
    outbox,
    runs,
    steps,
)

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import Claim, Conversation, ConversationRef
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.storage.database import Database, Transaction
    from openloop.storage.messages import Message

from openloop.domain.audit import SYSTEM, Who, actor_as_who
from openloop.domain.run import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything a worker knows about the conversation it holds, as of one transaction.

    `has_place` is false where it was let in, past every line, only because its run may have to end.
    """

    claim: Claim
    conversation: Conversation
    run: Run | None
    governing: Governing | None
    steps: list[Step]
    approvals: list[Approval]
    unread: list[Message]
    has_place: bool = True

    @property
    def workspace(self) -> WorkspaceId:
        """The workspace all of it is in."""
        return self.claim.ref.workspace

    @property
    def is_all_read(self) -> bool:
        """False where more messages may be unread than are read at a time."""
        return len(self.unread) < messages.AT_ONCE

    @property
    def agent(self) -> Who:
        """The agent, as the audit names it."""
        if self.governing is None:
            return SYSTEM
        return Who(kind="agent", name=self.governing.begun.metadata.name)


async def take(
    database: Database,
    configuration: Configuration,
    ref: ConversationRef,
    *,
    worker: UUID,
    silent_on: frozenset[str] = frozenset(),
) -> Work | None:
    """Claim a conversation and read its state; None where somebody holds it or nothing is due.

    On the surfaces of `silent_on` nothing is said to somebody whose rights were not looked up yet.
    """
    async with database.transaction(ref.workspace) as tx:
        claimed = await conversations.claim(tx, ref, worker=worker)
        if claimed is None:
            return None
        claim, conversation = claimed
        work = await _read(tx, configuration, claim, conversation)
        return await _let_in(tx, work, silent_on=silent_on)


async def keep_place(
    database: Database, work: Work, *, silent_on: frozenset[str] = frozenset()
) -> Work | None:
    """The same work; None where its run has to wait in line after all: then it was let go.

    It was let in because somebody wanted to stop it who may not, or it is another one by now.
    """
    has_not_begun = work.run is not None and work.run.state is RunState.QUEUED
    if work.run is None or (work.has_place and not has_not_begun) or not most_of(work):
        return work
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        return await _let_in(tx, work, silent_on=silent_on)


async def _let_in(tx: Transaction, work: Work, *, silent_on: frozenset[str]) -> Work | None:
    """The work; None where its run has to wait in line: then the conversation was let go.

    Whoever wants it to stop is heard at once: that needs no place.
    """
    run, in_line = work.run, work.conversation.line_since is not None
    most, line, has_place = most_of(work), None, True
    if run is not None and most:
        has_place = not _is_ending(run, work.unread)
        if has_place:
            line = await lines.line_for(tx, work.workspace, work.conversation, run, most)
    if run is None or line is None:
        if in_line:
            await lines.leave(tx, work.conversation.id)
        return replace(work, has_place=has_place)
    await lines.stand(tx, work.claim, run, line)
    if not in_line and work.conversation.surface not in silent_on:
        whose = "this agent" if line == "agent" else "this workspace"
        status = SetStatus(text=f"waits for another run of {whose} to end", state="waiting")
        await outbox.add(tx, work.workspace, work.conversation.id, status, run_id=run.id)
    return None


def most_of(work: Work) -> lines.Most:
    """How many runs may work at a time, by what is in force now."""
    if work.governing is None:
        return lines.Most(agent=None, workspace=None)
    return lines.Most(
        agent=work.governing.live.spec.limits.concurrency,
        workspace=work.governing.workspace.spec.limits.concurrency,
    )


def _is_ending(run: Run, unread: list[Message]) -> bool:
    is_taken_back = any(message.is_deleted and message.run_id == run.id for message in unread)
    is_stopped = any(is_stop(message.text) for message in unread)
    return run.cancel_asked_by is not None or is_taken_back or is_stopped


async def next_in_line(database: Database, after: Work) -> list[ConversationRef]:
    """Who may be let in after this work, with which nothing is done; nobody where nothing is limited."""
    if after.run is None or not most_of(after):
        return []
    async with database.transaction(after.workspace) as tx:
        return await lines.list_next(tx, after.workspace, after.run.agent_id)


async def look_again(database: Database, configuration: Configuration, work: Work) -> Work:
    """Read the state anew under the same claim, with all that has happened up to now."""
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        if work.conversation.failures:
            await conversations.forgive(tx, work.claim)
        conversation = await conversations.get(tx, work.conversation.id)
        claim = replace(work.claim, wakes=conversation.wakes)
        read = await _read(tx, configuration, claim, conversation)
        return replace(read, has_place=work.has_place)


async def _read(
    tx: Transaction, configuration: Configuration, claim: Claim, conversation: Conversation
) -> Work:
    asked_run = await runs.ask_active(tx, conversation.id)
    asked_live = await agents.ask_live_ids(tx, conversation.id)
    unread = await messages.list_unread(tx, conversation.id)
    run, live = await asked_run.first(), await asked_live.first()
    if run is not None and live is None:
        raise NotFound(f"Agent {run.agent_id} is not applied")
    resumed = run is not None and run.state is not RunState.QUEUED
    return Work(
        claim=claim,
        conversation=conversation,
        run=run,
        governing=(
            await configuration.governed_by(tx, live, run.revision_id) if run and live else None
        ),
        steps=await steps.list_of(tx, run.id) if run and resumed else [],
        approvals=await approvals.list_of_run(tx, run.id) if run and resumed else [],
        unread=unread,
    )


async def open_next(database: Database, work: Work, first: Message) -> bool:
    """Messages came too late for the run that has ended: one of them opens the next one."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        addressee = await conversations.find_addressee(tx, work.conversation.thread)
        if addressee.agent_id is None or addressee.revision_id is None:
            await messages.mark_read(tx, [m.id for m in work.unread], run_id=None)
            return False
        run_id = RunId(new_id())
        opened = await runs.open_run(
            tx,
            workspace,
            id=run_id,
            conversation_id=work.conversation.id,
            agent_id=addressee.agent_id,
            revision_id=addressee.revision_id,
            requested_by=first.actor,
            request=first.text,
            request_link=first.link,
        )
        if opened:
            await messages.assign(tx, first.id, run_id)
            await audit.append(
                tx,
                workspace,
                "run.queued",
                actor=actor_as_who(first.actor),
                subject=run_id,
                run_id=run_id,
                conversation=work.conversation.id,
                link=first.link,
            )
        return opened


async def discard(database: Database, work: Work, until: Message) -> None:
    """Note that nobody will read these: they were addressed to a run that is over."""
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        await messages.mark_read_until(tx, work.conversation.id, until.id, run_id=None)


async def release(database: Database, claim: Claim, *, wake_at: datetime | None = None) -> bool:
    """Let go; False where something has happened since `claim.wakes`, and the claim is still held."""
    async with database.transaction(claim.ref.workspace) as tx:
        return await conversations.release(tx, claim, wake_at=wake_at)


async def postpone(database: Database, claim: Claim, *, after_seconds: float) -> bool:
    """Let go and come back after a while, as nothing is wrong; False where something has happened."""
    async with database.transaction(claim.ref.workspace) as tx:
        return await conversations.release(tx, claim, wake_at=await _from_now(tx, after_seconds))


async def release_failed(database: Database, claim: Claim, *, after_seconds: float) -> None:
    """Let go after a failure; the sweep tries again, not before the given time."""
    async with database.transaction(claim.ref.workspace) as tx:
        wake_at = await _from_now(tx, after_seconds)
        await conversations.release(tx, claim, wake_at=wake_at, failed=True)


async def put_off(database: Database, ref: ConversationRef, *, after_seconds: float) -> None:
    """Nobody could take this conversation: it is looked at again after a while."""
    async with database.transaction(ref.workspace) as tx:
        await conversations.put_off(tx, ref.id, until=await _from_now(tx, after_seconds))


async def _from_now(tx: Transaction, seconds: float) -> datetime:
    return await tx.value(
        "SELECT openloop.now() + make_interval(secs => %(seconds)s)", {"seconds": seconds}
    )


async def park(database: Database, work: Work, run: Run, *, wake_at: datetime | None) -> bool:
    """Let a run wait for people: no slot, no memory, no reservation; False where it must look again."""
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        if run.state is not RunState.WAITING:
            await runs.set_state(tx, run.id, RunState.WAITING)
        return await conversations.release(tx, work.claim, wake_at=wake_at)


async def hand_over(database: Database, claim: Claim) -> None:
    """Give a run in the middle of its work to the next worker: this one is shutting down."""
    async with database.transaction(claim.ref.workspace) as tx:
        await conversations.hand_over(tx, claim)
