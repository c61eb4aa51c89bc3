"""Seals: the chain of the audit, written by one sealer at a time and read for whoever verifies it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from openloop.domain.audit_chain import Entry
from openloop.domain.audit_record import Columns
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.storage.database import Transaction

_EVENT = "e.id, e.xid::text, e.at, e.kind, e.actor, e.subject, e.run_id, e.detail"
_ENTRY = f"s.seq, s.hash, s.record, s.salt, e.erased_by, {_EVENT}"
_JOINED = "audit_seals s LEFT JOIN audit_events e ON (e.workspace_id, e.id) = (s.workspace_id, s.event_id)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One link of the chain."""

    seq: int
    event_id: int
    record: str
    hash: bytes
    salt: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """How many events wait for their seal (counted up to a bound), and since when."""

    count: int
    oldest_at: datetime | None


async def lock(tx: Transaction, workspace: WorkspaceId) -> bool:
    """Become the workspace's only sealer until the transaction ends; False where somebody is."""
    return await tx.value(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%(workspace)s::text, 4))",
        {"workspace": workspace},
    )


async def wait_for_lock(tx: Transaction, workspace: WorkspaceId) -> None:
    """The same, once whoever is the sealer now has finished."""
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(workspace)s::text, 4))",
        {"workspace": workspace},
    )


async def find_last(tx: Transaction) -> Seal | None:
    """The end of the chain."""
    return await tx.find(
        Seal, "SELECT seq, event_id, record, hash, salt FROM audit_seals ORDER BY seq DESC LIMIT 1"
    )


async def find_hash(tx: Transaction, seq: int) -> bytes | None:
    """The hash of one link."""
    return await tx.value("SELECT hash FROM audit_seals WHERE seq = %(seq)s", {"seq": seq})


async def list_unsealed(tx: Transaction, position: tuple[int, int], *, limit: int) -> list[Columns]:
    """Events after a position `(xid, id)` of which it is certain that nothing comes before them.

    Ids are given at insert and transactions end in any order: only below the oldest transaction
    that is still running has everything been seen. So a slow one is never passed by.
    """
    found = await tx.tuples(
        f"""
        SELECT {_EVENT} FROM audit_events e
        WHERE (e.xid, e.id) > (%(xid)s::text::xid8, %(id)s)
          AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.xid, e.id LIMIT %(limit)s
        """,  # noqa: S608  # a constant column list
        {"xid": str(position[0]), "id": position[1], "limit": limit},
    )
    return [columns(row) for row in found]


async def add(tx: Transaction, workspace: WorkspaceId, added: Sequence[Seal]) -> None:
    """Append links; two that would have the same number cannot both be there.

    They travel as one JSON text: arrays of texts are escaped one by one, at five times the CPU.
    """
    links = [
        {
            "seq": seal.seq,
            "event_id": seal.event_id,
            "record": seal.record,
            "hash": seal.hash.hex(),
            "salt": seal.salt.hex() if seal.salt is not None else None,
        }
        for seal in added
    ]
    await tx.send(
        """
        INSERT INTO audit_seals (workspace_id, seq, event_id, record, hash, salt)
        SELECT %(workspace)s, seq, event_id, record, decode(hash, 'hex'), decode(salt, 'hex')
        FROM jsonb_to_recordset(%(links)s)
            AS link (seq bigint, event_id bigint, record text, hash text, salt text)
        """,
        {"workspace": workspace, "links": rows.json(links)},
    )


async def waiting(tx: Transaction, position: tuple[int, int], *, most: int = 10_000) -> Unsealed:
    """What a sealer at this position has before it, whether its transactions have ended or not."""
    found = await tx.find(
        Unsealed,
        """
        SELECT count(*) AS count, min(at) AS oldest_at FROM (
            SELECT at FROM audit_events WHERE (xid, id) > (%(xid)s::text::xid8, %(id)s)
            ORDER BY xid, id LIMIT %(most)s) AS next
        """,
        {"xid": str(position[0]), "id": position[1], "most": most},
    )
    assert found is not None  # noqa: S101  # an aggregate has one row
    return found


# --- for whoever verifies --------------------------------------------------------------------------


async def list_entries(tx: Transaction, *, after: int, limit: int) -> list[Entry]:
    """Links after a number, in order, each with its event as it is now."""
    found = await tx.tuples(
        f"SELECT {_ENTRY} FROM {_JOINED} "  # noqa: S608  # constants
        "WHERE s.seq > %(after)s ORDER BY s.seq LIMIT %(limit)s",
        {"after": after, "limit": limit},
    )
    return [_entry(row) for row in found]


async def list_entries_of_run(tx: Transaction, run_id: RunId, *, limit: int) -> list[Entry]:
    """The events of a run in the order of their seals; those that wait for one come last."""
    found = await tx.tuples(
        f"""
        SELECT {_ENTRY} FROM audit_events e
            LEFT JOIN audit_seals s ON (s.workspace_id, s.event_id) = (e.workspace_id, e.id)
        WHERE e.run_id = %(run_id)s ORDER BY s.seq NULLS LAST, e.id LIMIT %(limit)s
        """,  # noqa: S608  # constants
        {"run_id": run_id, "limit": limit},
    )
    return [_entry(row) for row in found]


async def find_entry(tx: Transaction, event_id: int) -> Entry | None:
    """One event, with its seal if it has one."""
    found = await tx.tuples(
        f"""
        SELECT {_ENTRY} FROM audit_events e
            LEFT JOIN audit_seals s ON (s.workspace_id, s.event_id) = (e.workspace_id, e.id)
        WHERE e.id = %(id)s
        """,  # noqa: S608  # constants
        {"id": event_id},
    )
    return _entry(found[0]) if found else None


async def list_digests(tx: Transaction, *, first: int, last: int) -> list[str]:
    """The digest of the record of each link from `first` to `last`, hexadecimal."""
    found = await tx.tuples(
        """
        SELECT encode(sha256(convert_to(record, 'UTF8')), 'hex') FROM audit_seals
        WHERE seq BETWEEN %(first)s AND %(last)s ORDER BY seq
        """,
        {"first": first, "last": last},
    )
    return [row[0] for row in found]


async def list_passed_by(
    tx: Transaction, position: tuple[int, int], *, after_id: int, limit: int
) -> tuple[list[Entry], int | None]:
    """Events at or before a position that have no seal, and the id that the next look begins after.

    `limit` is how many events are looked at; the second value is None at the end.
    """
    found = await tx.tuples(
        f"""
        SELECT {_ENTRY} FROM (
            SELECT * FROM audit_events WHERE id > %(after)s ORDER BY id LIMIT %(limit)s) AS e
            LEFT JOIN audit_seals s ON (s.workspace_id, s.event_id) = (e.workspace_id, e.id)
        WHERE s.seq IS NULL AND (e.xid, e.id) <= (%(xid)s::text::xid8, %(id)s) ORDER BY e.id
        """,  # noqa: S608  # constants
        {"after": after_id, "limit": limit, "xid": str(position[0]), "id": position[1]},
    )
    reached = await tx.value(
        """
        SELECT id FROM (SELECT id FROM audit_events WHERE id > %(after)s ORDER BY id LIMIT %(limit)s)
            AS looked_at OFFSET %(limit)s - 1
        """,
        {"after": after_id, "limit": limit},
    )
    return [_entry(row) for row in found], reached


# --- erasure ---------------------------------------------------------------------------------------


async def list_texts_of(
    tx: Transaction,
    *,
    principal_id: UUID | None,
    external_ids: Sequence[str],
    mentions: Sequence[str],
    events: Sequence[int],
    after: int,
    window: int,
) -> list[Columns]:
    """Events with personal text of a person, or by id, among `window` links after a number.

    A person is known by their principal, by the identities it has now, and by other external ids;
    `mentions` are regular expressions of what others' texts call them.
    """
    found = await tx.tuples(
        f"""
        SELECT {_EVENT} FROM audit_seals s
            JOIN audit_events e ON (e.workspace_id, e.id) = (s.workspace_id, s.event_id)
        WHERE s.seq > %(after)s AND s.seq <= %(after)s + %(window)s AND s.salt IS NOT NULL
          AND (e.id = ANY (%(events)s) OR e.actor->>'principal_id' = %(principal)s::text
               OR e.actor->>'external_id' = ANY (%(external)s)
               OR e.actor->>'external_id' IN (
                   SELECT external_id FROM identities WHERE principal_id = %(principal)s::uuid)
               OR e.detail::text ~ ANY (%(mentions)s))
        ORDER BY s.seq
        """,  # noqa: S608  # a constant column list
        {
            "events": list(events),
            "principal": None if principal_id is None else str(principal_id),
            "external": list(external_ids),
            "mentions": list(mentions),
            "after": after,
            "window": window,
        },
    )
    return [columns(row) for row in found]


async def erase(
    tx: Transaction, without: Sequence[tuple[int, object, object]], *, erased_by: int
) -> int:
    """Put actor and detail without personal text in the place of those with, and drop the salts."""
    return await tx.value(
        "SELECT openloop.erase_audit_texts(%(ids)s, %(actors)s::jsonb[], %(details)s::jsonb[], %(by)s)",
        {
            "ids": [id for id, _, _ in without],
            "actors": [actor for _, actor, _ in without],
            "details": [detail for _, _, detail in without],
            "by": erased_by,
        },
    )


# --- rows ------------------------------------------------------------------------------------------


def columns(row: Sequence[Any]) -> Columns:
    """The columns of an event as JSON."""
    id, xid, at, kind, actor, subject, run_id, detail = row
    return {
        "id": id,
        "xid": xid,
        "at": moment(at),
        "kind": kind,
        "actor": actor,
        "subject": str(subject) if subject is not None else None,
        "run_id": str(run_id) if run_id is not None else None,
        "detail": detail,
    }


def moment(at: datetime) -> str:
    """A time as records have it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _entry(row: Iterable[Any]) -> Entry:
    seq, hash, record, salt, erased_by, *event = row
    return {
        "seq": seq,
        "hash": hash.hex() if hash is not None else None,
        "record": record,
        "salt": salt.hex() if salt is not None else None,
        "erased_by": erased_by,
        "event": columns(event) if event[0] is not None else None,
    }
