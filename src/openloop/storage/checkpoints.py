"""Checkpoints as rows, and how far each destination has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

CLAIM_SECONDS = 60
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """A checkpoint as it is kept everywhere, and what of it is asked for."""

    number: int
    seq: int
    at: datetime
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """How far a place outside of the database has the checkpoints."""

    name: str
    delivered: int
    failures: int
    error: str
    failing_since: datetime | None


_COLUMNS = "number, seq, at, document"
_STATE = "name, delivered, failures, error, failing_since"


async def find_last(tx: Transaction) -> CheckpointRow | None:
    """The newest one."""
    return await tx.find(
        CheckpointRow,
        f"SELECT {_COLUMNS} FROM audit_checkpoints ORDER BY number DESC LIMIT 1",  # noqa: S608
    )


async def find_covering(tx: Transaction, seq: int) -> CheckpointRow | None:
    """The first one that confirms a link."""
    return await tx.find(
        CheckpointRow,
        f"SELECT {_COLUMNS} FROM audit_checkpoints WHERE seq >= %(seq)s ORDER BY number LIMIT 1",  # noqa: S608
        {"seq": seq},
    )


async def list_after(tx: Transaction, number: int, *, limit: int) -> list[CheckpointRow]:
    """Those after a number, in order."""
    return await tx.all(
        CheckpointRow,
        f"""
        SELECT {_COLUMNS} FROM audit_checkpoints
        WHERE number > %(number)s ORDER BY number LIMIT %(limit)s
        """,  # noqa: S608  # a constant column list
        {"number": number, "limit": limit},
    )


async def list_with_keys(tx: Transaction, *, limit: int) -> list[CheckpointRow]:
    """Those that bring a signing key."""
    return await tx.all(
        CheckpointRow,
        f"""
        SELECT {_COLUMNS} FROM audit_checkpoints
        WHERE document::jsonb->'checkpoint'->>'public_key' <> '' ORDER BY number LIMIT %(limit)s
        """,  # noqa: S608  # a constant column list
        {"limit": limit},
    )


async def add(tx: Transaction, workspace: WorkspaceId, checkpoint: CheckpointRow) -> None:
    """Keep the next one."""
    await tx.send(
        """
        INSERT INTO audit_checkpoints (workspace_id, number, seq, at, document)
        VALUES (%(workspace)s, %(number)s, %(seq)s, %(at)s, %(document)s)
        """,
        {
            "workspace": workspace,
            "number": checkpoint.number,
            "seq": checkpoint.seq,
            "at": checkpoint.at,
            "document": checkpoint.document,
        },
    )


async def list_destinations(tx: Transaction) -> list[Destination]:
    """Every destination that was ever delivered to."""
    return await tx.all(
        Destination,
        f"SELECT {_STATE} FROM audit_destinations ORDER BY name LIMIT 100",  # noqa: S608
    )


async def list_due(tx: Transaction, names: Sequence[str]) -> list[str]:
    """Which of these places lack checkpoints and are due; nothing is written."""
    found = await tx.tuples(
        """
        SELECT n.name FROM unnest(%(names)s::text[]) AS n (name)
            LEFT JOIN audit_destinations d ON d.name = n.name
        WHERE coalesce(d.delivered, 0) < (SELECT max(number) FROM audit_checkpoints)
          AND coalesce(d.next_try_at, '-infinity') <= openloop.now()
        """,
        {"names": list(names)},
    )
    return [row[0] for row in found]


async def claim(tx: Transaction, workspace: WorkspaceId, name: str) -> Destination | None:
    """Take a destination that lacks checkpoints and is due, for a minute; None where none is."""
    await tx.send(
        """
        INSERT INTO audit_destinations (workspace_id, name) VALUES (%(workspace)s, %(name)s)
        ON CONFLICT DO NOTHING
        """,
        {"workspace": workspace, "name": name},
    )
    return await tx.find(
        Destination,
        f"""
        UPDATE audit_destinations
        SET next_try_at = openloop.now() + make_interval(secs => %(seconds)s)
        WHERE name = %(name)s AND next_try_at <= openloop.now()
          AND delivered < (SELECT max(number) FROM audit_checkpoints)
        RETURNING {_STATE}
        """,  # noqa: S608  # a constant column list
        {"name": name, "seconds": CLAIM_SECONDS},
    )


async def mark_delivered(tx: Transaction, name: str, number: int) -> None:
    """They are there, up to this one."""
    await tx.send(
        """
        UPDATE audit_destinations SET delivered = greatest(delivered, %(number)s), failures = 0,
            error = '', failing_since = NULL, next_try_at = openloop.now()
        WHERE name = %(name)s
        """,
        {"name": name, "number": number},
    )


async def mark_failed(tx: Transaction, name: str, *, error: str, again_seconds: float) -> None:
    """They are not there; the next try is not before some seconds have passed."""
    await tx.send(
        """
        UPDATE audit_destinations SET failures = failures + 1, error = %(error)s,
            failing_since = coalesce(failing_since, openloop.now()),
            next_try_at = openloop.now() + make_interval(secs => %(seconds)s)
        WHERE name = %(name)s
        """,
        {"name": name, "error": error[:LONGEST_ERROR], "seconds": again_seconds},
    )
