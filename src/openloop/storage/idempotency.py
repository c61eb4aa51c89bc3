"""API writes that carried an Idempotency-Key, and what they were answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.storage.database import Transaction

KEPT_DAYS = 7
# A write is answered within half a minute, or its process is gone.
ABANDONED_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """What is on record of a key; `status` is None while the request is being carried out."""

    request_sha256: bytes
    status: int | None
    answer: object
    made_at: datetime


async def claim(
    tx: Transaction,
    workspace: WorkspaceId,
    principal_id: PrincipalId,
    key: str,
    *,
    request_sha256: bytes,
) -> datetime | None:
    """Take a key for a request; None where it is taken. The time names the claim from then on.

    A key past its seven days is free again, and so is one whose process never answered.
    """
    return await tx.value(
        """
        INSERT INTO idempotency_keys AS k (workspace_id, principal_id, key, request_sha256)
        VALUES (%(workspace)s, %(principal)s, %(key)s, %(sha256)s)
        ON CONFLICT (workspace_id, principal_id, key) DO UPDATE
        SET request_sha256 = EXCLUDED.request_sha256, status = NULL, answer = NULL,
            made_at = openloop.now()
        WHERE k.made_at < openloop.now() - make_interval(days => %(days)s)
           OR (k.status IS NULL AND k.request_sha256 = EXCLUDED.request_sha256
               AND k.made_at < openloop.now() - make_interval(secs => %(abandoned)s))
        RETURNING made_at
        """,
        {
            "workspace": workspace,
            "principal": principal_id,
            "key": key,
            "sha256": request_sha256,
            "days": KEPT_DAYS,
            "abandoned": ABANDONED_SECONDS,
        },
    )


async def find(tx: Transaction, principal_id: PrincipalId, key: str) -> KeyedRequest | None:
    """What is on record of a key of this principal."""
    return await tx.find(
        KeyedRequest,
        """
        SELECT request_sha256, status, answer, made_at FROM idempotency_keys
        WHERE principal_id = %(principal)s AND key = %(key)s
        """,
        {"principal": principal_id, "key": key},
    )


async def settle(
    tx: Transaction,
    principal_id: PrincipalId,
    key: str,
    *,
    claimed_at: datetime,
    status: int,
    answer: object,
) -> None:
    """Record what the request was answered, if the claim is still ours."""
    await tx.run(
        """
        UPDATE idempotency_keys SET status = %(status)s, answer = %(answer)s
        WHERE principal_id = %(principal)s AND key = %(key)s AND made_at = %(claimed_at)s
        """,
        {
            "principal": principal_id,
            "key": key,
            "claimed_at": claimed_at,
            "status": status,
            "answer": None if answer is None else rows.json(answer),
        },
    )


async def release(
    tx: Transaction, principal_id: PrincipalId, key: str, *, claimed_at: datetime
) -> None:
    """Nothing was done: the same key may be used again."""
    await tx.run(
        """
        DELETE FROM idempotency_keys
        WHERE principal_id = %(principal)s AND key = %(key)s AND made_at = %(claimed_at)s
        """,
        {"principal": principal_id, "key": key, "claimed_at": claimed_at},
    )


async def sweep(tx: Transaction, *, limit: int) -> int:
    """Forget keys past their seven days."""
    return await tx.run(
        """
        DELETE FROM idempotency_keys WHERE (workspace_id, principal_id, key) IN (
            SELECT workspace_id, principal_id, key FROM idempotency_keys
            WHERE made_at < openloop.now() - make_interval(days => %(days)s) LIMIT %(limit)s)
        """,
        {"days": KEPT_DAYS, "limit": limit},
    )
