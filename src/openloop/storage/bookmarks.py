"""How far the lists of a platform have been read, and which process reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from openloop.domain.bookmark import Unread
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.bookmark import Gap
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A bookmark that is now ours, under this epoch, and what was kept in it last."""

    epoch: int
    read: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """A bookmark as it stands; `is_held` where a process reads on from it now."""

    surface: str
    name: str
    kept_at: datetime | None
    is_held: bool
    gap_since: datetime | None
    gap_until: datetime | None
    gap_noticed_at: datetime | None
    unread: Mapping[str, Unread]
    """What of the list cannot be read at present, by its name."""


async def take(
    tx: Transaction, workspace: WorkspaceId, surface: str, name: str, *, seconds: float
) -> Taken | None:
    """Hold a bookmark for so long; None where another process does."""
    return await tx.find(
        Taken,
        """
        INSERT INTO bookmarks (workspace_id, surface, name, epoch, held_until)
        VALUES (%(workspace)s, %(surface)s, %(name)s, 1,
                openloop.now() + make_interval(secs => %(seconds)s))
        ON CONFLICT (name, surface, workspace_id) DO UPDATE
        SET epoch = bookmarks.epoch + 1, held_until = EXCLUDED.held_until
        WHERE bookmarks.held_until <= openloop.now()
        RETURNING epoch, read
        """,
        {"workspace": workspace, "surface": surface, "name": name, "seconds": seconds},
    )


async def hold_on(tx: Transaction, surface: str, name: str, *, epoch: int, seconds: float) -> bool:
    """Hold it for so long from now, or give it back with 0; False where it was taken over."""
    return bool(
        await tx.run(
            """
            UPDATE bookmarks SET held_until = openloop.now() + make_interval(secs => %(seconds)s)
            WHERE name = %(name)s AND surface = %(surface)s AND epoch = %(epoch)s
            """,
            {"surface": surface, "name": name, "epoch": epoch, "seconds": seconds},
        )
    )


async def keep(
    tx: Transaction, surface: str, name: str, read: Mapping[str, object], *, epoch: int
) -> bool:
    """Keep how far it has been read; False where it was taken over, and then it stays as it is."""
    return bool(
        await tx.run(
            """
            UPDATE bookmarks SET read = %(read)s, kept_at = openloop.now()
            WHERE name = %(name)s AND surface = %(surface)s AND epoch = %(epoch)s
            """,
            {"surface": surface, "name": name, "epoch": epoch, "read": rows.json(read)},
        )
    )


async def note_gap(tx: Transaction, surface: str, name: str, gap: Gap) -> None:
    """Note the last time of which nothing can be read."""
    await tx.send(
        """
        UPDATE bookmarks SET gap_since = %(since)s, gap_until = %(until)s,
            gap_noticed_at = openloop.now()
        WHERE name = %(name)s AND surface = %(surface)s
        """,
        {"surface": surface, "name": name, "since": gap.since, "until": gap.until},
    )


async def list_all(tx: Transaction) -> list[Bookmark]:
    """Every bookmark of a workspace."""
    return await tx.all(
        Bookmark,
        """
        SELECT surface, name, kept_at, held_until > openloop.now() AS is_held,
            gap_since, gap_until, gap_noticed_at,
            coalesce(read -> 'unread', '{}') AS unread
        FROM bookmarks ORDER BY surface, name LIMIT 1000
        """,
    )
