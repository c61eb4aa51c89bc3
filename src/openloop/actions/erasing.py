"""Erasing personal text from the audit: what happened stays on record, and the chain still holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.audit_chain import erasure_digest
from openloop.domain.audit_record import split
from openloop.domain.errors import Invalid
from openloop.storage import audit, principals, rows, seals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.audit import Who
    from openloop.domain.audit_record import Columns
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.storage.database import Database, Transaction

WINDOW = 5_000
"""Links that one transaction looks through: it stays short however long the record is."""

MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How many events lost their personal text."""

    events: int


async def erase(
    database: Database,
    workspace: WorkspaceId,
    *,
    principal_id: PrincipalId | None = None,
    external_ids: Sequence[str] = (),
    events: Sequence[int] = (),
    by: Who,
) -> Erased:
    """Erase names, ids and texts from what a person did, from texts that name them, and from events.

    Only what is sealed can be erased: within a second of its commit. Who is meant is not written
    down, only how many events and a digest of which; the reason is kept where it was asked for.

    Raises:
        Invalid, NotFound
    """
    if principal_id is None and not external_ids and not events:
        message = "Name a person, their ids on a surface, or events"
        raise Invalid(message)
    if len(events) > MOST_EVENTS:
        message = f"At most {MOST_EVENTS} events at a time"
        raise Invalid(message)
    names = [*external_ids]
    async with database.transaction(workspace) as tx:
        if principal_id is not None:
            names.append((await principals.get(tx, principal_id)).name)
        end = await seals.find_last(tx)
    erased = 0
    for after in range(0, end.seq if end else 0, WINDOW):
        async with database.transaction(workspace) as tx:
            found = await seals.list_texts_of(
                tx,
                principal_id=principal_id,
                external_ids=external_ids,
                mentions=[_as_a_word(name) for name in names],
                events=events,
                after=after,
                window=WINDOW,
            )
            if found:
                erased += await _erase(tx, workspace, found, by=by)
    return Erased(events=erased)


def _as_a_word(name: str) -> str:
    """A regular expression of Postgres that finds a name, and not inside of another word."""
    escaped = "".join(c if c.isalnum() else f"\\{c}" for c in name)
    return rf"(^|\W){escaped}(\W|$)"


async def _erase(
    tx: Transaction, workspace: WorkspaceId, found: Sequence[Columns], *, by: Who
) -> int:
    event_id = await audit.append_and_tell(
        tx,
        workspace,
        "audit.erased",
        actor=by,
        count=len(found),
        digest=erasure_digest([event["id"] for event in found]),
    )
    without = [(event["id"], *split(event["actor"], event["detail"])[:2]) for event in found]
    erased = await seals.erase(
        tx,
        [(id, rows.json(actor), rows.json(detail)) for id, actor, detail in without],
        erased_by=event_id,
    )
    if erased != len(found):
        message = "Somebody else is erasing the same events; nothing was erased here"
        raise Invalid(message, code="audit_erased_meanwhile")
    return erased
