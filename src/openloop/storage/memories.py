"""Memory rows: saved in a scope, recalled in that scope only, forgotten in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.domain.memory import Memory
from openloop.storage import readers, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from openloop.domain.audit import Who
    from openloop.domain.ids import MemoryId, RunId, WorkspaceId
    from openloop.domain.memory import MemoryKind, MemoryScope
    from openloop.domain.readers import Reader
    from openloop.storage.database import Pending, Transaction

_COLUMNS = """id, agent_id, scope, scope_id, kind, text, author, source_link, confidence, status,
    effective_at, expires_at, created_at, visible_in"""
_READABLE = readers.of_memory()
_LIVE = "status = 'active' AND (expires_at IS NULL OR expires_at > openloop.now())"


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    id: MemoryId,
    scope: MemoryScope,
    kind: MemoryKind,
    text: str,
    author: Who,
    source_link: str,
    source_message: str,
    effective_at: datetime,
    retention_days: int | None,
    run_id: RunId | None = None,
    step_seq: int | None = None,
    undo_sha256: bytes | None = None,
    visible_in: PlaceClass = PlaceClass.PUBLIC,
) -> MemoryId:
    """Save a memory; the same step of the same run saves it once and gets the same id."""
    return await tx.value(
        """
        INSERT INTO memories (workspace_id, id, agent_id, scope, scope_id, kind, text, author,
            source_link, source_message, run_id, step_seq, undo_sha256, visible_in, effective_at,
            expires_at)
        VALUES (%(workspace)s, %(id)s, %(agent_id)s, %(scope)s, %(scope_id)s, %(kind)s, %(text)s,
            %(author)s, %(source_link)s, %(source_message)s, %(run_id)s, %(step_seq)s, %(undo)s, %(visible_in)s,
            %(effective_at)s, openloop.now() + make_interval(days => %(days)s::int))
        ON CONFLICT (workspace_id, run_id, step_seq) WHERE run_id IS NOT NULL
        DO UPDATE SET run_id = EXCLUDED.run_id
        RETURNING id
        """,
        {
            "workspace": workspace,
            "id": id,
            "agent_id": scope.agent_id,
            "scope": scope.scope,
            "scope_id": scope.scope_id,
            "kind": kind,
            "text": text,
            "author": rows.json(author),
            "source_link": source_link,
            "source_message": source_message,
            "run_id": run_id,
            "step_seq": step_seq,
            "undo": undo_sha256,
            "visible_in": str(visible_in),
            "effective_at": effective_at,
            "days": retention_days,
        },
    )


async def recall(tx: Transaction, scope: MemoryScope, query: str, *, limit: int) -> list[Memory]:
    """The best matches of any word of `query` in the scope; see `ask_recall`."""
    return await (await ask_recall(tx, scope, query, limit=limit)).all()


async def ask_recall(
    tx: Transaction, scope: MemoryScope, query: str, *, limit: int
) -> Pending[Memory]:
    """The best matches of any word of `query` in the scope, by rank and then by date.

    Words are joined by OR: people ask in other words than they decided in, and the rank puts the
    memory with most of them first.
    """
    return await tx.ask(
        Memory,
        f"""
        SELECT {_COLUMNS} FROM memories, (
            SELECT nullif(replace(plainto_tsquery('english', %(query)s)::text, ' & ', ' | '), '')::tsquery
        ) AS asked (words)
        WHERE agent_id = %(agent_id)s AND scope = %(scope)s AND scope_id = %(scope_id)s AND {_LIVE}
          AND search @@ words
        ORDER BY ts_rank_cd(search, words, 1) DESC, effective_at DESC LIMIT %(limit)s
        """,  # noqa: S608  # constants
        {
            "agent_id": scope.agent_id,
            "scope": scope.scope,
            "scope_id": scope.scope_id,
            "query": query.replace("\0", " ")[:2000],
            "limit": limit,
        },
    )


async def list_newest(
    tx: Transaction,
    *,
    limit: int,
    before: UUID | None = None,
    query: str | None = None,
    reader: Reader | None = None,
) -> list[Memory]:
    """Live memories of the whole workspace that `reader` may read, newest first."""
    return await tx.all(
        Memory,
        f"""
        SELECT {_COLUMNS} FROM memories
        WHERE {_LIVE} AND (%(before)s::uuid IS NULL OR id < %(before)s)
          AND (%(query)s::text IS NULL OR search @@ plainto_tsquery('english', %(query)s))
        {readers.only(reader, _READABLE)}
        ORDER BY id DESC LIMIT %(limit)s
        """,  # noqa: S608  # constants
        {"before": before, "query": query, "limit": limit, **readers.parameters(reader)},
    )


async def texts_of(tx: Transaction, ids: Sequence[str]) -> list[str]:
    """What these memories say, in the order of their time."""
    found = await tx.tuples(
        "SELECT text FROM memories WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id", {"ids": list(ids)}
    )
    return [row[0] for row in found]


async def find_by_undo(tx: Transaction, undo_sha256: bytes) -> tuple[MemoryId, str] | None:
    """Which memory an Undo button names, and who on the surface asked for it."""
    found = await tx.tuples(
        "SELECT id, author->>'external_id' FROM memories WHERE undo_sha256 = %(undo)s",
        {"undo": undo_sha256},
    )
    return (found[0][0], found[0][1]) if found else None


async def retract(tx: Transaction, id: MemoryId) -> bool:
    """Take a memory back; False where it was taken back already."""
    return bool(
        await tx.run(
            "UPDATE memories SET status = 'retracted' WHERE id = %(id)s AND status = 'active'",
            {"id": id},
        )
    )


async def retract_source(tx: Transaction, source_message: str) -> list[MemoryId]:
    """The message behind some memories was edited or deleted: they are not recalled any more."""
    found = await tx.tuples(
        """
        UPDATE memories SET status = 'retracted'
        WHERE source_message = %(source)s AND status = 'active' RETURNING id
        """,
        {"source": source_message},
    )
    return [row[0] for row in found]


async def sweep(tx: Transaction, *, limit: int) -> int:
    """Delete what is past its retention, and what was retracted and is a month old."""
    return await tx.run(
        """
        DELETE FROM memories WHERE id IN (
            SELECT id FROM memories WHERE expires_at < openloop.now()
               OR (status = 'retracted' AND created_at < openloop.now() - interval '30 days')
            LIMIT %(limit)s)
        """,
        {"limit": limit},
    )
