"""Run rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.domain.errors import NotFound
from openloop.domain.ids import RunId
from openloop.domain.run import Run
from openloop.domain.surface import Actor
from openloop.storage import readers, rows

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.ids import AgentId, ConversationId, RevisionId, WorkspaceId
    from openloop.domain.readers import Reader
    from openloop.domain.run import RunState
    from openloop.storage.database import Pending, Transaction

_COLUMNS = """id, conversation_id, agent_id, revision_id, state, requested_by, request, request_link,
    outcome, error_code, model, input_tokens, output_tokens, cost_usd, queued_at, started_at,
    ended_at, cancel_asked_by"""
_SELECT = f"SELECT {_COLUMNS} FROM runs "  # noqa: S608  # a constant column list
_READABLE = readers.of_run("runs.id", "runs.conversation_id")


async def open_run(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    id: RunId,
    conversation_id: ConversationId,
    agent_id: AgentId,
    revision_id: RevisionId,
    requested_by: Actor,
    request: str,
    request_link: str,
) -> bool:
    """Queue a run, unless the conversation has an active one: then what came in steers it."""
    return bool(
        await tx.run(
            """
            INSERT INTO runs (workspace_id, id, conversation_id, agent_id, revision_id, state,
                              requested_by, request, request_link)
            VALUES (%(workspace)s, %(id)s, %(conversation_id)s, %(agent_id)s, %(revision_id)s,
                    'queued', %(requested_by)s, %(request)s, %(request_link)s)
            ON CONFLICT (workspace_id, conversation_id) WHERE state IN ('queued', 'working', 'waiting')
            DO NOTHING
            """,
            {
                "workspace": workspace,
                "id": id,
                "conversation_id": conversation_id,
                "agent_id": agent_id,
                "revision_id": revision_id,
                "requested_by": rows.json(requested_by),
                "request": request,
                "request_link": request_link,
            },
        )
    )


async def get(tx: Transaction, id: RunId) -> Run:
    """The run of that id."""
    found = await tx.find(Run, _SELECT + "WHERE id = %(id)s", {"id": id})
    if found is None:
        raise NotFound(f"No run {id}")
    return found


async def find_active(tx: Transaction, conversation_id: ConversationId) -> Run | None:
    """The run that is queued, working or waiting in a conversation."""
    return await (await ask_active(tx, conversation_id)).first()


async def ask_active(tx: Transaction, conversation_id: ConversationId) -> Pending[Run]:
    """The same, without waiting."""
    return await tx.ask(
        Run,
        _SELECT + "WHERE conversation_id = %(id)s AND state IN ('queued', 'working', 'waiting')",
        {"id": conversation_id},
    )


async def find_newest(tx: Transaction, conversation_id: ConversationId) -> Run | None:
    """The run that a conversation had last."""
    return await tx.find(
        Run,
        _SELECT + "WHERE conversation_id = %(id)s ORDER BY id DESC LIMIT 1",
        {"id": conversation_id},
    )


async def list_newest(
    tx: Transaction,
    *,
    limit: int,
    before: UUID | None = None,
    state: str | None = None,
    agent_id: AgentId | None = None,
    reader: Reader | None = None,
) -> list[Run]:
    """The newest runs first (ids are in time order), of those that `reader` may know of."""
    return await tx.all(
        Run,
        _SELECT
        + """
        WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(agent_id)s::uuid IS NULL OR agent_id = %(agent_id)s)
        """
        + readers.only(reader, _READABLE)
        + " ORDER BY id DESC LIMIT %(limit)s",
        {
            "before": before,
            "state": state,
            "agent_id": agent_id,
            "limit": limit,
            **readers.parameters(reader),
        },
    )


async def set_state(
    tx: Transaction, id: RunId, state: RunState, *, model: str | None = None
) -> None:
    """Move an active run; `started_at` is the first time it worked."""
    await tx.send(
        """
        UPDATE runs SET state = %(state)s, model = coalesce(%(model)s, model),
            started_at = CASE WHEN %(state)s = 'working' THEN coalesce(started_at, openloop.now())
                              ELSE started_at END
        WHERE id = %(id)s AND ended_at IS NULL
        """,
        {"id": id, "state": state, "model": model},
    )


async def end(
    tx: Transaction, id: RunId, state: RunState, *, outcome: str, error_code: str = ""
) -> bool:
    """Close a run; False where it was closed already."""
    return bool(
        await tx.run(
            """
            UPDATE runs SET state = %(state)s, outcome = %(outcome)s, error_code = %(error_code)s,
                ended_at = openloop.now()
            WHERE id = %(id)s AND ended_at IS NULL
            """,
            {"id": id, "state": state, "outcome": outcome, "error_code": error_code},
        )
    )


async def ask_cancel(tx: Transaction, id: RunId, who: object) -> bool:
    """Ask an active run to stop at its next boundary; False where it is over."""
    return bool(
        await tx.run(
            """
            UPDATE runs SET cancel_asked_by = coalesce(cancel_asked_by, %(who)s)
            WHERE id = %(id)s AND ended_at IS NULL
            """,
            {"id": id, "who": rows.json(who)},
        )
    )


async def sweep(tx: Transaction, *, keep_days: int, limit: int) -> int:
    """Empty the requests of runs that ended longer ago: they are texts of messages."""
    return await tx.run(
        """
        UPDATE runs SET request = '' WHERE id IN (
            SELECT id FROM runs
            WHERE ended_at < openloop.now() - make_interval(days => %(days)s) AND request <> ''
            LIMIT %(limit)s)
        """,
        {"days": keep_days, "limit": limit},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An earlier run of a conversation: what was asked, and what was said in the end."""

    id: RunId
    requested_by: Actor
    request: str
    answer: str | None
    queued_at: datetime


async def list_exchanges(
    tx: Transaction, conversation_id: ConversationId, *, before: RunId
) -> list[Exchange]:
    """The last twenty earlier runs of a conversation, oldest first."""
    found = await tx.all(
        Exchange,
        """
        SELECT r.id, r.requested_by, r.request, r.queued_at,
               (SELECT o.op->>'markdown' FROM outbox o
                WHERE o.run_id = r.id AND o.op->>'op' = 'Say' ORDER BY o.seq DESC LIMIT 1) AS answer
        FROM runs r WHERE r.conversation_id = %(id)s AND r.id < %(before)s
          AND r.state IN ('done', 'failed', 'cancelled')
        ORDER BY r.id DESC LIMIT 20
        """,
        {"id": conversation_id, "before": before},
    )
    return found[::-1]
