"""Changes of the configuration that wait for somebody else, and what was synced from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, LiteralString, TypeAlias

from openloop.domain.change import Change, ChangeState
from openloop.domain.errors import NotFound
from openloop.domain.ids import ChangeId, PrincipalId
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.change import ChangeDecision, ManifestFile, PlannedDocument
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

Outcome: TypeAlias = Literal["applied", "unchanged", "pending", "refused"]

KEEP_DAYS = 7

# Nothing sweeps changes: one that ran out of time reads as expired from then on.
_TOLD: LiteralString = """
    id, origin, version, digest, documents, proposed_by, proposed_at, expires_at,
    CASE WHEN state = 'pending' AND expires_at <= openloop.now() THEN 'expired' ELSE state END AS state,
    decided_by, decided_at, reason
"""
_COLUMNS: LiteralString = f"files, {_TOLD}"


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    id: ChangeId,
    *,
    origin: str,
    version: str,
    files: Sequence[ManifestFile],
    digest: str,
    documents: Sequence[PlannedDocument],
    by: PrincipalId,
) -> None:
    """Write a pending change."""
    await tx.run(
        """
        INSERT INTO changes (workspace_id, id, origin, version, files, digest, documents, proposed_by,
                             expires_at, state)
        VALUES (%(workspace)s, %(id)s, %(origin)s, %(version)s, %(files)s, %(digest)s, %(documents)s,
                %(by)s, openloop.now() + make_interval(days => %(days)s), 'pending')
        """,
        {
            "workspace": workspace,
            "id": id,
            "origin": origin,
            "version": version,
            "files": rows.json(list(files)),
            "digest": digest,
            "documents": rows.json(list(documents)),
            "by": by,
            "days": KEEP_DAYS,
        },
    )


async def get(tx: Transaction, id: ChangeId) -> Change:
    """One change."""
    return _there(
        await tx.find(Change, f"SELECT {_COLUMNS} FROM changes WHERE id = %(id)s", {"id": id}),  # noqa: S608
        id,
    )


async def lock(tx: Transaction, id: ChangeId) -> Change:
    """One change, for whoever decides it."""
    return _there(
        await tx.find(
            Change,
            f"SELECT {_COLUMNS} FROM changes WHERE id = %(id)s FOR UPDATE",  # noqa: S608
            {"id": id},
        ),
        id,
    )


def _there(found: Change | None, id: ChangeId) -> Change:
    if found is None:
        raise NotFound(f"No change {id}")
    return found


async def list_newest(
    tx: Transaction,
    *,
    limit: int,
    before: ChangeId | None = None,
    state: ChangeState | None = None,
) -> list[Change]:
    """The newest first, without their files."""
    return await tx.all(
        Change,
        f"""
        SELECT *, '[]'::jsonb AS files FROM (SELECT {_TOLD} FROM changes) AS c
        WHERE (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(before)s::uuid IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,  # noqa: S608  # a constant column list
        {"limit": limit, "before": before, "state": state},
    )


async def list_pending_of(tx: Transaction, *, origin: str, by: PrincipalId) -> list[Change]:
    """What the same proposer has waiting from the same place."""
    return await tx.all(
        Change,
        f"""
        SELECT {_COLUMNS} FROM changes
        WHERE state = 'pending' AND origin = %(origin)s AND proposed_by = %(by)s
          AND expires_at > openloop.now()
        ORDER BY id LIMIT 1000
        """,  # noqa: S608  # a constant column list
        {"origin": origin, "by": by},
    )


async def settle(
    tx: Transaction,
    id: ChangeId,
    state: ChangeState,
    *,
    by: PrincipalId | None = None,
    reason: str = "",
) -> None:
    """Say what became of a pending change."""
    await tx.run(
        """
        UPDATE changes SET state = %(state)s, decided_by = %(by)s, decided_at = openloop.now(),
               reason = %(reason)s
        WHERE id = %(id)s AND state = 'pending'
        """,
        {"id": id, "state": state, "by": by, "reason": reason},
    )


async def add_vote(
    tx: Transaction,
    workspace: WorkspaceId,
    id: ChangeId,
    *,
    by: PrincipalId,
    decision: ChangeDecision,
    own_proposal: bool,
    via: str,
) -> None:
    """Record what somebody said."""
    await tx.run(
        """
        INSERT INTO change_votes (workspace_id, change_id, principal_id, decision, own_proposal, via)
        VALUES (%(workspace)s, %(id)s, %(by)s, %(decision)s, %(own)s, %(via)s)
        """,
        {
            "workspace": workspace,
            "id": id,
            "by": by,
            "decision": decision,
            "own": own_proposal,
            "via": via,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A folder or repository that is synced, and what its last sync came to."""

    origin: str
    version: str
    outcome: Outcome
    detail: str
    change_id: ChangeId | None
    every_seconds: int | None
    synced_by: PrincipalId
    synced_at: datetime
    is_late: bool = False


async def put_source(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    origin: str,
    version: str,
    outcome: Outcome,
    detail: str,
    change_id: ChangeId | None,
    every_seconds: int | None,
    by: PrincipalId,
) -> Outcome | None:
    """Record a sync; the outcome of the one before it."""
    before: Outcome | None = await tx.value(
        "SELECT outcome FROM config_sources WHERE origin = %(origin)s FOR UPDATE",
        {"origin": origin},
    )
    await tx.run(
        """
        INSERT INTO config_sources (workspace_id, origin, version, outcome, detail, change_id,
                                    every_seconds, synced_by)
        VALUES (%(workspace)s, %(origin)s, %(version)s, %(outcome)s, %(detail)s, %(change_id)s,
                %(every)s, %(by)s)
        ON CONFLICT (workspace_id, origin) DO UPDATE
        SET version = EXCLUDED.version, outcome = EXCLUDED.outcome, detail = EXCLUDED.detail,
            change_id = EXCLUDED.change_id, every_seconds = EXCLUDED.every_seconds,
            synced_by = EXCLUDED.synced_by, synced_at = openloop.now()
        """,
        {
            "workspace": workspace,
            "origin": origin,
            "version": version,
            "outcome": outcome,
            "detail": detail,
            "change_id": change_id,
            "every": every_seconds,
            "by": by,
        },
    )
    return before


async def list_sources(tx: Transaction) -> list[Source]:
    """Every synced place. One that syncs at an interval is late after three of them."""
    return await tx.all(
        Source,
        """
        SELECT origin, version, outcome, detail, change_id, every_seconds, synced_by, synced_at,
               coalesce(synced_at + 3 * make_interval(secs => every_seconds) < openloop.now(), false)
                   AS is_late
        FROM config_sources ORDER BY origin LIMIT 1000
        """,
    )
