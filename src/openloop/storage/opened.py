"""Threads that runs have opened elsewhere, and the conversations in which that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.ids import ConversationId, new_id
from openloop.domain.surface import Place, Thread
from openloop.storage import conversations

if TYPE_CHECKING:
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction

MOST = 20
"""How many threads of one conversation are told of each other; more than that is no conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One thread that a run has opened, with both sides."""

    opened_id: ConversationId
    origin_id: ConversationId
    opened_link: str
    origin_link: str
    is_announced: bool
    surface: str
    tenant: str
    container: str
    root: str

    @property
    def thread(self) -> Thread:
        """Where it is."""
        place = Place(surface=self.surface, tenant=self.tenant, container=self.container)
        return Thread(place=place, root=self.root)


_SELECT = """
    SELECT o.opened_id, o.origin_id, o.opened_link, o.origin_link, o.is_announced,
           c.surface, c.tenant, c.container, c.root
    FROM opened_threads o JOIN conversations c ON c.id = o.opened_id
"""


async def note(
    tx: Transaction,
    workspace: WorkspaceId,
    thread: Thread,
    run: Run,
    *,
    step_seq: int,
    link: str,
) -> ConversationId | None:
    """Make the conversation of a thread that a run has opened; None where that is on record already.

    Nobody is woken: there is nothing to do in it yet.
    """
    opened = await tx.value(
        """
        WITH c AS (
            INSERT INTO conversations (workspace_id, id, agent_id, surface, tenant, container, root)
            VALUES (%(workspace)s, %(id)s, %(agent)s, %(surface)s, %(tenant)s, %(container)s, %(root)s)
            -- A delivery of the platform may have come before the answer to the call.
            ON CONFLICT (workspace_id, surface, tenant, container, root)
            DO UPDATE SET agent_id = coalesce(conversations.agent_id, EXCLUDED.agent_id) RETURNING id)
        INSERT INTO opened_threads (workspace_id, opened_id, origin_id, run_id, step_seq, opened_link,
                                    origin_link)
        SELECT %(workspace)s, c.id, %(origin)s, %(run)s, %(step)s, %(link)s, %(origin_link)s FROM c
        WHERE c.id <> %(origin)s ON CONFLICT DO NOTHING RETURNING opened_id
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "agent": run.agent_id,
            "origin": run.conversation_id,
            "run": run.id,
            "step": step_seq,
            "link": link,
            "origin_link": run.request_link,
            **conversations.address(thread),
        },
    )
    return None if opened is None else ConversationId(opened)


async def list_of(tx: Transaction, id: ConversationId) -> list[Opened]:
    """What a conversation has opened, and the one that has opened it."""
    return await tx.all(
        Opened,
        _SELECT
        + " WHERE %(id)s IN (o.opened_id, o.origin_id) ORDER BY o.opened_at LIMIT %(limit)s",
        {"id": id, "limit": MOST},
    )


async def list_of_run(tx: Transaction, id: RunId) -> list[Opened]:
    """What a run has opened."""
    return await tx.all(
        Opened,
        _SELECT + " WHERE o.run_id = %(id)s ORDER BY o.opened_at LIMIT %(limit)s",
        {"id": id, "limit": MOST},
    )


async def announce(tx: Transaction, id: ConversationId) -> bool:
    """Note that a thread has had its line; False where it had it before."""
    return bool(
        await tx.run(
            "UPDATE opened_threads SET is_announced = true WHERE opened_id = %(id)s AND NOT is_announced",
            {"id": id},
        )
    )
