"""What `doctor` says of the audit: is it sealed, and are its checkpoints where they should be?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from openloop.actions import sealing
from openloop.domain.errors import Misconfigured, OpenLoopError
from openloop.domain.surface import Finding
from openloop.runtime.destinations.places import read_places
from openloop.storage import checkpoints, seals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.settings import Settings
    from openloop.storage.checkpoints import Destination
    from openloop.storage.database import Transaction

LATE: Final = timedelta(seconds=60)


async def look(tx: Transaction, settings: Settings) -> list[Finding]:
    """The record of one workspace, and each place that keeps its checkpoints."""
    try:
        names = [
            place.name for place in read_places(settings.audit_checkpoints, home=settings.home)
        ]
    except Misconfigured as error:
        return [
            Finding(subject="checkpoints", ok=False, detail=problem) for problem in error.problems
        ]
    try:
        sealed = await _sealed(tx)
    except OpenLoopError as error:
        sealed = Finding(
            subject="record", ok=False, detail=str(error), remedy="openloop audit verify"
        )
    known = {place.name: place for place in await checkpoints.list_destinations(tx)}
    last = await checkpoints.find_last(tx)
    number = last.number if last else 0
    places = [_place(name, known.get(name), number) for name in names]
    return [sealed, *places, *_only_here(settings)]


async def _sealed(tx: Transaction) -> Finding:
    last = await seals.find_last(tx)
    waiting = await seals.waiting(tx, sealing.position_of(last))
    detail = f"sealed up to link {last.seq if last else 0}, {waiting.count} events wait"
    late = waiting.oldest_at is not None and await tx.now() - waiting.oldest_at > LATE
    remedy = "A worker seals: start one, and look for long transactions" if late else ""
    return Finding(subject="record", ok=not late, detail=detail, remedy=remedy)


def _place(name: str, place: Destination | None, number: int) -> Finding:
    if place is not None and place.failing_since is not None:
        since = place.failing_since.strftime("%Y-%m-%d %H:%M:%SZ")
        detail = f"fails since {since}, has {place.delivered} of {number}: {place.error}"
        return Finding(subject=name, ok=False, detail=detail, remedy="It is tried again by itself")
    has = place.delivered if place is not None else 0
    return Finding(subject=name, ok=True, detail=f"has {has} of {number} checkpoints")


def _only_here(settings: Settings) -> Iterator[Finding]:
    if not settings.audit_checkpoints:
        yield Finding(
            subject="checkpoints",
            ok=True,
            detail="are kept on this machine only",
            remedy="Name a place on another one: OPENLOOP_AUDIT_CHECKPOINTS",
        )
