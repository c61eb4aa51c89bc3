"""The audit: written in the transaction of the change, never changed afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.audit import AuditEvent
from openloop.storage import readers, rows

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.audit import Who
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.readers import Reader
    from openloop.storage.database import Transaction

_COLUMNS = "id, at, kind, actor, subject, run_id, detail"
_READABLE = readers.of_event()


async def append(
    tx: Transaction,
    workspace: WorkspaceId,
    kind: str,
    *,
    actor: Who,
    subject: UUID | None = None,
    run_id: UUID | None = None,
    **detail: object,
) -> None:
    """Write one event; `kind` is one of the stable names of docs/reference/audit.md."""
    await tx.send(
        """
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        VALUES (%(workspace)s, %(kind)s, %(actor)s, %(subject)s, %(run_id)s, %(detail)s)
        """,
        {
            "workspace": workspace,
            "kind": kind,
            "actor": rows.json(actor),
            "subject": subject,
            "run_id": run_id,
            "detail": rows.json(detail),
        },
    )


async def append_and_tell(
    tx: Transaction, workspace: WorkspaceId, kind: str, *, actor: Who, **detail: object
) -> int:
    """Write one event that others refer to; its id."""
    return await tx.value(
        """
        INSERT INTO audit_events (workspace_id, kind, actor, detail)
        VALUES (%(workspace)s, %(kind)s, %(actor)s, %(detail)s) RETURNING id
        """,
        {
            "workspace": workspace,
            "kind": kind,
            "actor": rows.json(actor),
            "detail": rows.json(detail),
        },
    )


async def list_newest(
    tx: Transaction,
    *,
    limit: int,
    before: int | None = None,
    run_id: RunId | None = None,
    kind: str | None = None,
    reader: Reader | None = None,
) -> list[AuditEvent]:
    """The newest events first, optionally of one run, of one kind or family (`approval.`).

    Those that `reader` may read as a part of the record.
    """
    return await tx.all(
        AuditEvent,
        f"SELECT {_COLUMNS} FROM audit_events "  # noqa: S608  # a constant column list
        """
        WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
          AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
          AND (%(kind)s::text IS NULL OR starts_with(kind, %(kind)s))
        """ + readers.only(reader, _READABLE) + " ORDER BY id DESC LIMIT %(limit)s",
        {
            "before": before,
            "run_id": run_id,
            "kind": kind,
            "limit": limit,
            **readers.parameters(reader),
        },
    )


async def list_after(
    tx: Transaction, position: tuple[int, int], *, limit: int
) -> list[tuple[str, AuditEvent]]:
    """Events after a position `(xid, id)`, in commit-safe order, each with its own position.

    Ids are given at insert, so a reader of `id > last` would skip a slow transaction for ever;
    only what is below the snapshot's oldest running transaction is shown.
    """
    found = await tx.tuples(
        f"SELECT xid::text, {_COLUMNS} FROM audit_events "  # noqa: S608  # a constant column list
        """
        WHERE (xid, id) > (%(xid)s::text::xid8, %(id)s)
          AND xid < pg_snapshot_xmin(pg_current_snapshot())
        -- Plain `xid` would name the text that is selected, and '1000' comes before '999'.
        ORDER BY audit_events.xid, id LIMIT %(limit)s
        """,
        {"xid": str(position[0]), "id": position[1], "limit": limit},
    )
    read = rows.adapter(AuditEvent).validate_python
    names = _COLUMNS.split(", ")
    return [
        (f"{xid}-{values[0]}", read(dict(zip(names, values, strict=True))))
        for xid, *values in found
    ]


async def position(tx: Transaction) -> tuple[int, int]:
    """The position up to which everything is visible now."""
    found = await tx.tuples(
        """
        SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1), 9223372036854775807
        """
    )
    return int(found[0][0]), int(found[0][1])
