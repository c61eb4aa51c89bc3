"""Conversation rows: the claim, its fence, and what is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

from openloop.domain.conversation import Claim, Conversation, ConversationRef
from openloop.domain.errors import LostClaim
from openloop.domain.ids import AgentId, ConversationId, RevisionId, WorkspaceId
from openloop.domain.priority import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from openloop.domain.surface import Place, Thread
    from openloop.storage.database import Pending, Transaction

LEASE_SECONDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Who would answer in a thread: the agent bound to the place, and the conversation if any."""

    agent_id: AgentId | None
    revision_id: RevisionId | None
    conversation_id: ConversationId | None
    is_new: bool


_IS_LINKED: LiteralString = """
    (EXISTS (SELECT FROM opened_threads t WHERE t.opened_id = conversations.id)
     OR EXISTS (SELECT FROM opened_threads t WHERE t.origin_id = conversations.id)) AS is_linked
"""
_ADDRESSEE: LiteralString = """
    a.id AS agent_id, a.live_revision_id AS revision_id, c.id AS conversation_id
    FROM (SELECT) AS one
    LEFT JOIN bindings b ON b.surface = %(surface)s AND b.tenant = %(tenant)s
                        AND b.container = %(container)s
    LEFT JOIN conversations c ON c.surface = %(surface)s AND c.tenant = %(tenant)s
                        AND c.container = %(container)s AND c.root = %(root)s
    LEFT JOIN agents a ON a.id = b.agent_id
"""


async def find_addressee(tx: Transaction, thread: Thread) -> Addressee:
    """What a message in this thread would reach: the agent that answers in its place now.

    The one that the conversation began with may have been taken out of the place since.
    """
    found = await tx.find(Addressee, "SELECT true AS is_new, " + _ADDRESSEE, address(thread))
    assert found is not None  # noqa: S101  # a LEFT JOIN from one row gives one row
    return found


async def take_keys(
    tx: Transaction,
    workspace: WorkspaceId,
    thread: Thread,
    *,
    delivery_key: str,
    subject_key: str,
) -> Addressee:
    """Note both dedupe keys of an event; `is_new` exactly once per delivery and per subject.

    A twin waits here for the first to commit.
    """
    found = await tx.find(
        Addressee,
        """
        WITH noted AS (
            INSERT INTO taken_keys (workspace_id, surface, key)
            VALUES (%(workspace)s, %(surface)s, %(delivery)s),
                   (%(workspace)s, %(surface)s, %(subject)s)
            ON CONFLICT DO NOTHING RETURNING 1)
        SELECT (SELECT count(*) FROM noted) = 2 AS is_new,
        """  # noqa: S608  # followed by a constant
        + _ADDRESSEE,
        {
            "workspace": workspace,
            "delivery": f"delivery:{delivery_key}",
            "subject": f"subject:{subject_key}",
            **address(thread),
        },
    )
    assert found is not None  # noqa: S101  # a LEFT JOIN from one row gives one row
    return found


async def open_conversation(
    tx: Transaction, workspace: WorkspaceId, thread: Thread, *, id: UUID, agent_id: AgentId | None
) -> ConversationId:
    """The conversation of a thread, made where it is new and woken in any case; its row is locked."""
    return await tx.value(
        """
        INSERT INTO conversations (workspace_id, id, agent_id, surface, tenant, container, root, wakes)
        VALUES (%(workspace)s, %(id)s, %(agent_id)s, %(surface)s, %(tenant)s, %(container)s, %(root)s, 1)
        ON CONFLICT (workspace_id, surface, tenant, container, root)
        DO UPDATE SET wakes = conversations.wakes + 1
        RETURNING id
        """,
        {"workspace": workspace, "id": id, "agent_id": agent_id, **address(thread)},
    )


async def get(tx: Transaction, id: ConversationId) -> Conversation:
    """The conversation of that id."""
    found = await find(tx, id)
    if found is None:
        raise LostClaim(f"Conversation {id} is gone")
    return found


async def find(tx: Transaction, id: ConversationId) -> Conversation | None:
    """The conversation of that id, if there is one."""
    return await tx.find(
        Conversation,
        "SELECT *, " + _IS_LINKED + " FROM conversations WHERE id = %(id)s",  # noqa: S608  # a constant
        {"id": id},
    )


async def lock(tx: Transaction, id: ConversationId) -> None:
    """Lock the row until this transaction ends: always before any other row of the conversation."""
    await tx.run(
        "SELECT openloop.hold_off_pauses() FROM conversations WHERE id = %(id)s FOR NO KEY UPDATE",
        {"id": id},
    )


async def bump(tx: Transaction, id: ConversationId) -> None:
    """Something happened: whoever releases the conversation now has to look again."""
    await tx.send("UPDATE conversations SET wakes = wakes + 1 WHERE id = %(id)s", {"id": id})


async def claim(
    tx: Transaction, ref: ConversationRef, *, worker: UUID
) -> tuple[Claim, Conversation] | None:
    """Take the conversation if something is to be done and nobody holds it (compare-and-set)."""
    conversation = await tx.find(
        Conversation,
        """
        UPDATE conversations
        SET claimed_by = %(worker)s, epoch = epoch + 1, wake_at = NULL,
            lease_until = openloop.now() + make_interval(secs => %(lease)s)
        WHERE id = %(id)s
          AND (claimed_by IS NULL OR lease_until < openloop.now())
          AND (wakes > handled OR wake_at <= openloop.now() OR claimed_by IS NOT NULL
               OR line IS NOT NULL)
        RETURNING *, EXISTS (SELECT FROM outbox o WHERE o.conversation_id = conversations.id
                             AND o.state IN ('queued', 'sending')) AS has_open_ops,
        """  # noqa: S608  # followed by a constant
        + _IS_LINKED,
        {"id": ref.id, "worker": worker, "lease": LEASE_SECONDS},
    )
    if conversation is None:
        return None
    claimed = Claim(ref=ref, worker=worker, epoch=conversation.epoch, wakes=conversation.wakes)
    return claimed, conversation


async def fence(tx: Transaction, claim: Claim) -> None:
    """Lock the row for this transaction, if the claim is still ours; else nothing can be written.

    Postgres checks it: a claim that is lost fails this statement, and with it all that follows and
    the commit, as LostClaim.
    """
    await tx.send(
        "SELECT openloop.hold_off_pauses(), openloop.fence(%(id)s, %(epoch)s, %(worker)s)",
        {"id": claim.ref.id, "epoch": claim.epoch, "worker": claim.worker},
    )


async def renew(tx: Transaction, worker: UUID, ids: Sequence[ConversationId]) -> None:
    """Push out the leases of everything this worker holds."""
    await tx.send(
        """
        UPDATE conversations SET lease_until = openloop.now() + make_interval(secs => %(lease)s)
        WHERE id = ANY(%(ids)s) AND claimed_by = %(worker)s
        """,
        {"ids": list(ids), "worker": worker, "lease": LEASE_SECONDS},
    )


async def release(
    tx: Transaction, claim: Claim, *, wake_at: datetime | None = None, failed: bool = False
) -> bool:
    """Let go, if nothing has happened since the claim's `wakes`; False means: look again."""
    asked = await ask_release(tx, claim, wake_at=wake_at, failed=failed)
    return await asked.count() == 1


async def ask_release(
    tx: Transaction, claim: Claim, *, wake_at: datetime | None = None, failed: bool = False
) -> Pending[object]:
    """The same, without waiting: one row where it was let go.

    With `failed` the release is unconditional, `wake_at` is the next try, and the count of
    failures grows; any other release resets it.
    """
    return await tx.ask(
        object,
        """
        UPDATE conversations
        SET claimed_by = NULL, lease_until = NULL, wake_at = %(wake_at)s,
            handled = CASE WHEN %(failed)s THEN handled ELSE %(wakes)s END,
            failures = CASE WHEN %(failed)s THEN failures + 1 ELSE 0 END
        WHERE id = %(id)s AND epoch = %(epoch)s AND claimed_by = %(worker)s
          AND (%(failed)s OR wakes = %(wakes)s)
        """,
        {
            "id": claim.ref.id,
            "epoch": claim.epoch,
            "worker": claim.worker,
            "wakes": claim.wakes,
            "wake_at": wake_at,
            "failed": failed,
        },
    )


async def put_off(tx: Transaction, id: ConversationId, *, until: datetime) -> None:
    """A conversation that nobody holds is not due before the given time."""
    await tx.send(
        """
        UPDATE conversations SET wake_at = %(until)s, failures = failures + 1,
            lease_until = CASE WHEN claimed_by IS NOT NULL THEN %(until)s::timestamptz END
        WHERE id = %(id)s AND (claimed_by IS NULL OR lease_until < openloop.now())
        """,
        {"id": id, "until": until},
    )


async def forgive(tx: Transaction, claim: Claim) -> None:
    """Work goes on after a failure: the next one is counted anew."""
    await tx.send(
        "UPDATE conversations SET failures = 0 WHERE id = %(id)s AND epoch = %(epoch)s",
        {"id": claim.ref.id, "epoch": claim.epoch},
    )


async def list_due(tx: Transaction, workspace: WorkspaceId, *, limit: int) -> list[ConversationRef]:
    """Conversations that somebody should look at: unread wakes, due timers, lapsed claims.

    One whose last try failed waits for its timer.
    """
    found = await tx.tuples(
        """
        (SELECT id, priority FROM conversations
          WHERE wakes > handled AND claimed_by IS NULL
            AND (failures = 0 OR wake_at IS NULL OR wake_at <= openloop.now()) LIMIT %(limit)s)
        UNION
        (SELECT id, priority FROM conversations
          WHERE wake_at <= openloop.now() AND claimed_by IS NULL LIMIT %(limit)s)
        UNION
        (SELECT id, priority FROM conversations
          WHERE claimed_by IS NOT NULL AND lease_until < openloop.now() LIMIT %(limit)s)
        LIMIT %(limit)s
        """,
        {"limit": limit},
    )
    return [
        ConversationRef(workspace=workspace, id=ConversationId(id), priority=Priority(priority))
        for id, priority in found
    ]


async def bind(
    tx: Transaction, workspace: WorkspaceId, place: Place, *, name: str, agent_id: AgentId
) -> AgentId | None:
    """Make an agent answer in a place; returns the other agent that already does, if any."""
    owner = await tx.value(
        """
        INSERT INTO bindings (workspace_id, surface, tenant, container, name, agent_id)
        VALUES (%(workspace)s, %(surface)s, %(tenant)s, %(container)s, %(name)s, %(agent_id)s)
        ON CONFLICT (workspace_id, surface, tenant, container)
        DO UPDATE SET name = EXCLUDED.name
        RETURNING agent_id
        """,
        {
            "workspace": workspace,
            "surface": place.surface,
            "tenant": place.tenant,
            "container": place.container,
            "name": name,
            "agent_id": agent_id,
        },
    )
    return None if owner == agent_id else AgentId(owner)


async def unbind_others(tx: Transaction, agent_id: AgentId, keep: Sequence[Place]) -> None:
    """Forget the places an agent's manifest no longer names."""
    await tx.send(
        """
        DELETE FROM bindings WHERE agent_id = %(agent_id)s
        AND (surface, tenant, container) NOT IN (
            SELECT * FROM unnest(%(surfaces)s::text[], %(tenants)s::text[], %(containers)s::text[]))
        """,
        {
            "agent_id": agent_id,
            "surfaces": [p.surface for p in keep],
            "tenants": [p.tenant for p in keep],
            "containers": [p.container for p in keep],
        },
    )


def address(thread: Thread) -> dict[str, object]:
    """The parameters that name a thread."""
    return {
        "surface": thread.place.surface,
        "tenant": thread.place.tenant,
        "container": thread.place.container,
        "root": thread.root,
    }


async def hand_over(tx: Transaction, claim: Claim) -> None:
    """Let go in the middle of a run: whoever comes next goes on at once."""
    await tx.send(
        """
        UPDATE conversations SET claimed_by = NULL, lease_until = NULL, wake_at = openloop.now()
        WHERE id = %(id)s AND epoch = %(epoch)s AND claimed_by = %(worker)s
        """,
        {"id": claim.ref.id, "epoch": claim.epoch, "worker": claim.worker},
    )
