"""Making a repeated API write harmless: one key, one request, one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.errors import Conflict
from openloop.storage import idempotency

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.domain.principal import Caller
    from openloop.storage.database import Database


class KeyReused(Conflict):
    """The key came with another request before."""

    code = "idempotency_key_reused"


class KeyInUse(Conflict):
    """The first request with this key is still being carried out."""

    code = "idempotency_key_in_use"


class AnswerNotKept(Conflict):
    """The request was carried out, and its answer held a secret that is kept nowhere."""

    code = "idempotency_answer_not_kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The key is ours: carry the request out, then settle or release it."""

    key: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The request was carried out before, and this was the answer."""

    status: int
    answer: object


async def claim(
    database: Database, caller: Caller, key: str, *, request_sha256: bytes
) -> Claimed | Answered:
    """Take a key for one request of this caller; of two at once, one gets it.

    Raises:
        KeyReused, KeyInUse, AnswerNotKept
    """
    async with database.transaction(caller.workspace) as tx:
        at = await idempotency.claim(
            tx, caller.workspace, caller.principal, key, request_sha256=request_sha256
        )
        if at is not None:
            return Claimed(key=key, at=at)
        found = await idempotency.find(tx, caller.principal, key)
    if found is None:
        raise KeyInUse("The first request with this key has just failed; send it again")
    if found.request_sha256 != request_sha256:
        raise KeyReused("This Idempotency-Key came with another request before")
    if found.status is None:
        raise KeyInUse("The first request with this key is still being carried out")
    if found.answer is None and found.status != 204:
        raise AnswerNotKept("This was done before; what it answered is shown only once")
    return Answered(status=found.status, answer=found.answer)


async def settle(
    database: Database, caller: Caller, claimed: Claimed, *, status: int, answer: object
) -> None:
    """Keep what the request was answered, for seven days."""
    async with database.transaction(caller.workspace) as tx:
        await idempotency.settle(
            tx,
            caller.principal,
            claimed.key,
            claimed_at=claimed.at,
            status=status,
            answer=answer,
        )


async def release(database: Database, caller: Caller, claimed: Claimed) -> None:
    """The request was refused and changed nothing: its key is free again."""
    async with database.transaction(caller.workspace) as tx:
        await idempotency.release(tx, caller.principal, claimed.key, claimed_at=claimed.at)
