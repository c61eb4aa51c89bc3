"""What `doctor` says of surfaces that are asked for events: how far they are read, what is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from openloop.domain.surface import Finding
from openloop.storage import bookmarks

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.storage.bookmarks import Bookmark
    from openloop.storage.database import Transaction

TOLD_FOR: Final = timedelta(days=30)
LATE: Final = timedelta(minutes=15)
MOST_UNREAD: Final = 20
NEARLY_TOO_LATE: Final = timedelta(days=2)
"""GitHub lists about three days."""


async def look(tx: Transaction) -> list[Finding]:
    """Every list that is read, what of it cannot be, and the last gap in each."""
    now = await tx.now()
    return [finding for each in await bookmarks.list_all(tx) for finding in _of(each, now)]


def _of(bookmark: Bookmark, now: datetime) -> list[Finding]:
    found = [_reading(bookmark, now), *_unread(bookmark)]
    since, until, noticed = bookmark.gap_since, bookmark.gap_until, bookmark.gap_noticed_at
    if since is None or until is None or noticed is None or now - noticed > TOLD_FOR:
        return found
    detail = (
        f"not all that happened from {_at(since)} to {_at(until)} is read: "
        "it was no longer listed, or too large or too much to be read"
    )
    remedy = "Look through what was said there in that time, and mention the agent again"
    return [*found, Finding(subject=_name(bookmark), ok=False, detail=detail, remedy=remedy)]


def _reading(bookmark: Bookmark, now: datetime) -> Finding:
    kept = bookmark.kept_at
    if kept is None:
        return Finding(subject=_name(bookmark), ok=True, detail="nothing has been read yet")
    detail = f"read until {_at(kept)}" + ("" if bookmark.is_held else "; nobody reads now")
    if now - kept > NEARLY_TOO_LATE:
        remedy = "Start `openloop serve` soon: the platform does not list events for ever"
        return Finding(subject=_name(bookmark), ok=False, detail=detail, remedy=remedy)
    if bookmark.is_held and now - kept > LATE:
        remedy = "See the log of `openloop serve`, and `openloop github check`"
        return Finding(subject=_name(bookmark), ok=False, detail=detail, remedy=remedy)
    return Finding(subject=_name(bookmark), ok=True, detail=detail)


def _unread(bookmark: Bookmark) -> list[Finding]:
    return [
        Finding(
            subject=_name(bookmark),
            ok=False,
            detail=f"{what} is not read since {_at(why.since)}: {why.reason}",
            remedy=f"See `openloop {bookmark.surface} check`. It is asked again every few minutes",
        )
        for what, why in sorted(bookmark.unread.items())[:MOST_UNREAD]
    ]


def _name(bookmark: Bookmark) -> str:
    return f"{bookmark.surface} {bookmark.name}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"
