"""Places: which class each of them has, as its platform said last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.domain.surface import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

FRESH_SECONDS = 60
"""How old an answer of a platform may be: what it says anew within that time changes nothing."""

DUE_SECONDS = 300
"""How long a place is left in peace that was asked about."""
_WIDTHS = [str(each) for each in PlaceClass]


async def note(
    tx: Transaction, workspace: WorkspaceId, place: Place, found: PlaceClass | None
) -> None:
    """What a platform that was asked says of who of us can read in a place; None: it does not say.

    Its answer may have been remembered for a minute: it widens nothing that was told since then. What
    was said before anybody knew that a place is private no more was said in private.
    """
    await tx.send(
        """
        INSERT INTO places AS p (workspace_id, surface, tenant, container, class, private_until, known_at)
        SELECT %(workspace)s, %(surface)s, %(tenant)s, %(container)s, %(class)s,
               CASE WHEN %(class)s = 'private' THEN openloop.now() END, openloop.now()
        WHERE NOT EXISTS (  -- looked for first, so that nobody waits for a row that says the same
            SELECT FROM places k
            WHERE k.container = %(container)s AND k.surface = %(surface)s AND k.tenant = %(tenant)s
              AND k.class = %(class)s AND k.known_at > openloop.now() - make_interval(secs => %(fresh)s))
        ON CONFLICT (container, surface, tenant, workspace_id) DO UPDATE SET
            class = EXCLUDED.class, known_at = EXCLUDED.known_at,
            private_until = CASE
                WHEN p.private_until IS NOT NULL AND coalesce(p.class, 'private') = 'private'
                    THEN openloop.now()
                ELSE coalesce(EXCLUDED.private_until, p.private_until) END
        WHERE coalesce(array_position(%(widths)s::text[], p.class)
                           >= array_position(%(widths)s::text[], EXCLUDED.class)
                       OR p.known_at <= openloop.now() - make_interval(secs => %(fresh)s), true)
        """,
        {
            **_address(workspace, place),
            "class": None if found is None else str(found),
            "widths": _WIDTHS,
            "fresh": FRESH_SECONDS,
        },
    )


async def close(tx: Transaction, workspace: WorkspaceId, place: Place) -> None:
    """A delivery says that only some of us can read in its place: at once, since that only narrows."""
    await tx.send(
        """
        INSERT INTO places (workspace_id, surface, tenant, container, class, private_until, known_at)
        SELECT %(workspace)s, %(surface)s, %(tenant)s, %(container)s, 'private', openloop.now(),
               openloop.now()
        WHERE NOT EXISTS (
            SELECT FROM places k
            WHERE k.container = %(container)s AND k.surface = %(surface)s AND k.tenant = %(tenant)s
              AND k.class = 'private')
        ON CONFLICT (container, surface, tenant, workspace_id) DO UPDATE SET
            class = 'private', private_until = openloop.now(), known_at = openloop.now()
        """,
        _address(workspace, place),
    )


async def take_due(
    tx: Transaction, workspace: WorkspaceId, *, surfaces: Sequence[str], limit: int
) -> list[Place]:
    """Places to ask about now, those of agents and all that were ever asked about.

    Two that look at once do not get the same.
    """
    await tx.send(
        """
        INSERT INTO places (workspace_id, surface, tenant, container)
        SELECT %(workspace)s, b.surface, b.tenant, b.container FROM bindings b
        WHERE b.surface = ANY(%(surfaces)s)
          AND NOT EXISTS (SELECT FROM places p WHERE p.container = b.container
                          AND p.surface = b.surface AND p.tenant = b.tenant)
        ORDER BY b.container LIMIT %(limit)s ON CONFLICT DO NOTHING
        """,
        {"workspace": workspace, "surfaces": list(surfaces), "limit": limit},
    )
    return await tx.all(
        Place,
        """
        UPDATE places p SET asked_at = openloop.now()
        WHERE (p.container, p.surface, p.tenant) IN (
            SELECT container, surface, tenant FROM places
            WHERE surface = ANY(%(surfaces)s)
              AND (asked_at IS NULL OR asked_at < openloop.now() - make_interval(secs => %(due)s))
            ORDER BY asked_at NULLS FIRST LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING surface, tenant, container
        """,
        {"surfaces": list(surfaces), "due": DUE_SECONDS, "limit": limit},
    )


def _address(workspace: WorkspaceId, place: Place) -> dict[str, object]:
    return {
        "workspace": workspace,
        "surface": place.surface,
        "tenant": place.tenant,
        "container": place.container,
    }
