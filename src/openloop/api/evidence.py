"""The audit as evidence: exported to be verified elsewhere, with its checkpoints; and erasure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from openloop.actions import erasing, sealing
from openloop.api.authentication import Auditing, Erasing, who
from openloop.api.kit import Kit
from openloop.api.paging import LARGEST, STRICT_BODY, Before, Limit, Name, Page, page_of, position
from openloop.api.reading import reader_of
from openloop.domain.audit_chain import Entry, Finding
from openloop.domain.audit_effects import check
from openloop.domain.errors import Forbidden, NotFound
from openloop.domain.ids import RunId
from openloop.domain.principal import Caller, Right
from openloop.storage import checkpoints, evidence, principals, seals
from openloop.storage.checkpoints import CheckpointRow, Destination

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

LAST = "OpenLoop-Last-Seq"
LOOKED_AT = 5_000
MOST_PASSED_BY = 1_000
NDJSON, CSV = "application/x-ndjson", "text/csv; charset=utf-8"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""

HEAD = (
    "seq",
    "id",
    "at",
    "kind",
    "actor_kind",
    "actor",
    "principal_id",
    "surface",
    "via",
    "subject",
    "run_id",
    "detail",
    "hash",
)

After = Annotated[
    int, Query(ge=0, le=LARGEST, description="Go on after this link: the last `seq` that you have.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStatus:
    """How far the record is sealed, vouched for, and delivered.

    `waiting` events have no seal yet; `waiting_since` is the oldest of them.
    """

    sealed: int
    waiting: int
    waiting_since: datetime | None
    checkpoint: CheckpointRow | None
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """Whose personal text is to go: a principal by name, ids on a surface, single events."""

    __pydantic_config__ = STRICT_BODY

    principal: Name | None = None
    external_ids: Annotated[tuple[Name, ...], Query(max_length=100)] = ()
    events: tuple[int, ...] = ()


async def _all_of_it(caller: Auditing) -> Caller:
    if Right.OVERSEE not in caller.rights:
        message = (
            "The export is all of the record: `openloop audit get` lists the part that you may read"
        )
        raise Forbidden(message)
    return caller


@router.get(
    "/export",
    operation_id="export_audit",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
)
async def export_audit(
    kit: Kit,
    caller: Annotated[Caller, Depends(_all_of_it)],
    *,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=2000, description="How many lines, at most.")] = 1000,
    format: Literal["ndjson", "csv"] = "ndjson",
) -> Response:
    """A page of the sealed record, one line for each link, in order.

    NDJSON is what `openloop audit verify` reads; CSV is for people. A page that is shorter than its
    limit is the last one for now; in NDJSON, events that were put in behind the seals come after it.
    It is all of the record or nothing: with a part left out nobody could verify it.
    """
    async with kit.database.transaction(caller.workspace) as tx:
        found = await seals.list_entries(tx, after=after, limit=limit)
        last = found[-1]["seq"] if found else after
        if len(found) < limit and format == "ndjson":
            found += await _passed_by(tx)
    headers = {LAST: str(last)}
    if format == "csv":
        text = _csv(found, with_head=after == 0)
        return Response(text, media_type=CSV, headers=headers)
    lines = b"".join(orjson.dumps(entry) + b"\n" for entry in found)
    return Response(lines, media_type=NDJSON, headers=headers)


@router.get("/checkpoints", operation_id="list_checkpoints")
async def list_checkpoints(
    kit: Kit,
    caller: Auditing,
    *,
    limit: Limit = 50,
    cursor: Annotated[int, Query(ge=0, le=LARGEST, description="The `next_cursor`.")] = 0,
) -> Page[CheckpointRow]:
    """The signed checkpoints, oldest first; `document` is what is kept elsewhere."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await checkpoints.list_after(tx, cursor, limit=limit)
    return page_of(found, limit=limit, last=found[-1].number if found else None, as_of=as_of)


@router.get("/status", operation_id="get_audit_status")
async def get_audit_status(kit: Kit, caller: Auditing) -> AuditStatus:
    """How far the record is sealed, vouched for, and delivered."""
    async with kit.database.transaction(caller.workspace) as tx:
        return await read_status(tx)


async def read_status(tx: Transaction) -> AuditStatus:
    """The same, for whoever has a transaction."""
    last = await seals.find_last(tx)
    waiting = await seals.waiting(tx, sealing.position_of(last))
    return AuditStatus(
        sealed=last.seq if last else 0,
        waiting=waiting.count,
        waiting_since=waiting.oldest_at,
        checkpoint=await checkpoints.find_last(tx),
        destinations=tuple(await checkpoints.list_destinations(tx)),
    )


@router.get("/effects", operation_id="check_effects")
async def check_effects(
    kit: Kit, caller: Auditing, *, limit: Limit = 200, cursor: Before = None
) -> Page[Finding]:
    """What of the effects of a page of runs the audit does not say, and the other way round.

    `limit` counts runs; `items` are findings, and none where all is well. Of runs that you may read;
    what belongs to none that is there is for whoever reads all of them.
    """
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        reader = await reader_of(kit, tx, caller)
        after = RunId(cursor) if cursor else None
        facts = await evidence.list_facts(tx, after=after, limit=limit, reader=reader)
        more = RunId(UUID(facts[-1].id)) if len(facts) >= limit else None
        found = [finding for run in facts for finding in check(run)]
        if reader.oversees:
            found += await _of_no_run(tx, after=after, until=more, limit=limit)
    next_cursor = str(more) if more else None
    return Page(items=tuple(found), next_cursor=next_cursor, as_of=as_of)


async def _of_no_run(
    tx: Transaction, *, after: RunId | None, until: RunId | None, limit: int
) -> list[Finding]:
    found = [
        Finding(
            kind="effect_missing",
            where=f"run {id}",
            message="The audit tells of it, and the run is not there",
        )
        for id in await evidence.list_lost_runs(tx, after=after, until=until, limit=limit)
    ]
    if after is not None:
        return found
    return found + [
        Finding(
            kind="effect_unrecorded",
            where=f"message {op.id}",
            message=f"The audit does not say why this {op.op} was sent",
        )
        for op in await evidence.list_loose_ops(tx, limit=limit)
    ]


@router.post("/erase", operation_id="erase_audit_texts")
async def erase_audit_texts(kit: Kit, caller: Erasing, erasure: Erasure) -> erasing.Erased:
    """Erase personal text from the record: what happened stays, and the chain still holds.

    It cannot be taken back. The rows of runs, messages and memories are not touched.
    """
    principal_id = None
    if erasure.principal is not None:
        async with kit.database.transaction(caller.workspace) as tx:
            person = await principals.find_by_name(tx, erasure.principal)
        if person is None:
            raise NotFound(f"No principal {erasure.principal!r}")
        principal_id = person.id
    return await erasing.erase(
        kit.database,
        caller.workspace,
        principal_id=principal_id,
        external_ids=erasure.external_ids,
        events=erasure.events,
        by=who(caller),
    )


async def _passed_by(tx: Transaction) -> list[Entry]:
    """Events that stand before sealed ones and have no seal: the product never leaves any."""
    end = sealing.position_of(await seals.find_last(tx))
    found: list[Entry] = []
    after: int | None = 0
    while after is not None and len(found) < MOST_PASSED_BY:
        some, after = await seals.list_passed_by(tx, end, after_id=after, limit=LOOKED_AT)
        found += some
    return found


def _csv(entries: Iterable[Entry], *, with_head: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    if with_head:
        writer.writerow(HEAD)
    writer.writerows(map(_cells, entries))
    return text.getvalue()


def _cells(entry: Entry) -> list[str]:
    return [_cell(value) for value in _values(entry)]


def _values(entry: Entry) -> Iterator[object]:
    event = entry["event"]
    yield entry["seq"]
    if event is None:
        yield from [""] * (len(HEAD) - 2)
    else:
        actor = event["actor"]
        yield from (event["id"], event["at"], event["kind"])
        yield from (actor.get(key) for key in ("kind", "name", "principal_id", "surface", "via"))
        yield from (event["subject"], event["run_id"], orjson.dumps(event["detail"]).decode())
    yield entry["hash"]


def _cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
