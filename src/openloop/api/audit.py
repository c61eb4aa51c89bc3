"""The audit: who did what, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from openloop.api.authentication import Auditing
from openloop.api.kit import Kit
from openloop.api.paging import BeforeNumber, Limit, Name, Page, page_of, position
from openloop.api.reading import reader_of
from openloop.domain.audit import AuditEvent
from openloop.domain.ids import RunId
from openloop.storage import audit

router = APIRouter(tags=["audit"])


@router.get("/api/v1/audit", operation_id="list_audit_events")
@router.get("/audit", operation_id="list_recent_audit_events")
async def list_audit_events(
    kit: Kit,
    caller: Auditing,
    *,
    limit: Limit = 50,
    cursor: BeforeNumber = None,
    run: Annotated[RunId | None, Query(description="The events of one run.")] = None,
    kind: Annotated[
        Name | None, Query(description="A kind (`run.queued`) or how it begins (`approval.`).")
    ] = None,
) -> Page[AuditEvent]:
    """The newest events first."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        reader = await reader_of(kit, tx, caller)
        found = await audit.list_newest(
            tx, limit=limit, before=cursor, run_id=run, kind=kind, reader=reader
        )
    return page_of(found, limit=limit, last=found[-1].id if found else None, as_of=as_of)
