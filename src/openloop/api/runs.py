"""Runs: what agents did and are doing, step by step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from openloop.actions import cancel
from openloop.api.authentication import Running, Seeing, who
from openloop.api.kit import Kit
from openloop.api.messages import Sent, sent_to
from openloop.api.paging import Before, Limit, Name, Page, page_of, position
from openloop.api.reading import reader_of
from openloop.domain.approval import ApprovalState
from openloop.domain.ids import ApprovalId, ConversationId, RunId
from openloop.domain.pause import Pause
from openloop.domain.run import Run, RunState
from openloop.domain.step import Step
from openloop.domain.surface import Thread
from openloop.storage import (
    agents,
    approvals,
    conversations,
    opened,
    outbox,
    readers,
    runs,
    steps,
)

if TYPE_CHECKING:
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])

# What opens something: a button's token undoes a note for whoever holds it.
SECRET_KEYS = frozenset({"undo_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun(Run):
    """A run with the name of its agent."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunApproval:
    """An approval of a run, in short."""

    id: ApprovalId
    step_seq: int
    tool: str
    title: str
    state: ApprovalState
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedThread:
    """A thread that a run has opened elsewhere, with its conversation here."""

    conversation_id: ConversationId
    thread: Thread
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(NamedRun):
    """A run with where it was asked for, what it asked people, and what it sent.

    `pause` is what keeps it from going on, while it is not over; `in_line_since` is set while it waits
    for a place among the runs that may work at a time. `opened` are threads that it opened elsewhere.
    """

    thread: Thread
    pause: Pause | None
    in_line_since: datetime | None
    opened: tuple[OpenedThread, ...]
    approvals: tuple[RunApproval, ...]
    messages: tuple[Sent, ...]


@router.get("", operation_id="list_runs")
async def list_runs(
    kit: Kit,
    caller: Seeing,
    *,
    limit: Limit = 50,
    cursor: Before = None,
    state: RunState | None = None,
    agent: Annotated[Name | None, Query(description="The name of an agent.")] = None,
) -> Page[NamedRun]:
    """The newest runs first."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        of_agent = None if agent is None else (await agents.get_agent(tx, agent)).id
        found = await runs.list_newest(
            tx,
            limit=limit,
            before=cursor,
            state=state,
            agent_id=of_agent,
            reader=await reader_of(kit, tx, caller),
        )
        names = await agent_names(tx)
    items = [_named(run, names.get(str(run.agent_id), "")) for run in found]
    return page_of(items, limit=limit, last=items[-1].id if items else None, as_of=as_of)


@router.get("/{run_id}", operation_id="get_run")
async def get_run(kit: Kit, caller: Seeing, run_id: RunId) -> RunDetail:
    """One run, with its approvals and what it sent."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_run(tx, await reader_of(kit, tx, caller), run_id)
        run = await runs.get(tx, run_id)
        names = await agent_names(tx)
        asked = await approvals.list_of_run(tx, run_id)
        sent = await outbox.list_of_run(tx, run_id)
        conversation = await conversations.get(tx, run.conversation_id)
        elsewhere = await opened.list_of_run(tx, run_id)
        live = None if run.state.is_over else await agents.find_live_ids(tx, run.agent_id)
    return RunDetail(
        **_values(run),
        agent=names.get(str(run.agent_id), ""),
        thread=conversation.thread,
        pause=live.pause if live is not None else None,
        opened=tuple(
            OpenedThread(conversation_id=each.opened_id, thread=each.thread, link=each.opened_link)
            for each in elsewhere
        ),
        in_line_since=None if run.state.is_over else conversation.line_since,
        approvals=tuple(
            RunApproval(
                id=approval.id,
                step_seq=approval.step_seq,
                tool=approval.tool,
                title=approval.card.title,
                state=approval.state,
                asked_at=approval.asked_at,
                expires_at=approval.expires_at,
                decided_at=approval.decided_at,
            )
            for approval in asked
        ),
        messages=sent_to(sent, caller),
    )


@router.get("/{run_id}/steps", operation_id="list_run_steps")
async def list_run_steps(kit: Kit, caller: Seeing, run_id: RunId) -> Page[Step]:
    """The journal of a run, in order and whole."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        await readers.check_run(tx, await reader_of(kit, tx, caller), run_id)
        await runs.get(tx, run_id)
        found = await steps.list_of(tx, run_id)
    return Page(items=tuple(without_secrets(step) for step in found), next_cursor=None, as_of=as_of)


@router.post("/{run_id}/cancel", operation_id="cancel_run", status_code=202)
async def cancel_run(kit: Kit, caller: Running, run_id: RunId) -> NamedRun:
    """Ask a run to stop at its next step."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_run(tx, await reader_of(kit, tx, caller), run_id)
    run = await cancel.cancel(kit.database, caller.workspace, run_id, by=who(caller))
    async with kit.database.transaction(caller.workspace) as tx:
        names = await agent_names(tx)
    return _named(run, names.get(str(run.agent_id), ""))


async def agent_names(tx: Transaction) -> dict[str, str]:
    """The names of the agents, by id."""
    return {str(agent.id): agent.name for agent in await agents.list_agents(tx)}


def _named(run: Run, agent: str) -> NamedRun:
    return NamedRun(**_values(run), agent=agent)


def _values(run: Run) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in fields(run)}


def without_secrets(step: Step) -> Step:
    """A step without what opens something."""
    kept = {key: value for key, value in step.input.items() if key not in SECRET_KEYS}
    return replace(step, input=kept)
