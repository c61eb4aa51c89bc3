"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Response

from openloop.api.kit import ApiKit, Kit
from openloop.domain.errors import OpenLoopError
from openloop.models.errors import ModelFailure
from openloop.storage import migrations

CHECK_SECONDS = 2.0

SILENT = "it does not answer"

Reasons = Mapping[str, str | None]
Models = Literal["ready", "warming", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The process answers."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`reasons` says of each part that is not ready, by name, why; `models` never counts."""

    status: Literal["ready", "not_ready"]
    reasons: dict[str, str]
    models: Models


router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="get_health")
async def get_health() -> Alive:
    """The process answers; nothing else is looked at."""
    return Alive()


@router.get("/readyz", operation_id="get_readiness", responses={503: {"model": Readiness}})
async def get_readiness(kit: Kit, response: Response) -> Readiness:
    """Database, migrations and the other parts of this process; 503 with the reasons if not."""
    reasons, models = await asyncio.gather(_reasons(kit), _models(kit))
    if reasons:
        response.status_code = 503
    return Readiness(status="not_ready" if reasons else "ready", reasons=reasons, models=models)


async def _reasons(kit: ApiKit) -> dict[str, str]:
    database, others = await asyncio.gather(
        _within(_database(kit), {"database": SILENT}), _within(kit.ready_checks(), {})
    )
    found = {**others, **database}
    return {part: reason for part, reason in found.items() if reason is not None}


async def _database(kit: ApiKit) -> Reasons:
    async with kit.database.directory() as tx:
        missing = await migrations.pending(tx.connection)
    return {"migrations": f"not applied: {', '.join(missing)}"} if missing else {}


async def _within(check: Awaitable[Reasons], otherwise: Reasons) -> Reasons:
    """What a check finds, or what it means that it finds nothing in time.

    A query of a server that hangs takes seconds to cancel, so its end is not waited for.
    """
    looking = asyncio.ensure_future(check)
    done, _ = await asyncio.wait((looking,), timeout=CHECK_SECONDS)
    if not done:
        looking.cancel()
        looking.add_done_callback(_forget)
        return otherwise
    try:
        return looking.result()
    except OpenLoopError:
        return otherwise


def _forget(looking: asyncio.Future[Reasons]) -> None:
    if not looking.cancelled():
        looking.exception()


async def _models(kit: ApiKit) -> Models:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return (await kit.models.health()).status
    except (ModelFailure, TimeoutError):
        return "unreachable"
