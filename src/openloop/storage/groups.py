"""Mirrored groups: what a platform said of its groups, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.domain.groups import FRESH_SECONDS, STALE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredGroup:
    """A group here, the one on a platform that it mirrors, and how fresh that is."""

    name: str
    surface: str
    external_id: str
    members: tuple[str, ...]
    mirrored_at: datetime | None
    is_stale: bool
    problem: str


async def declare(
    tx: Transaction, workspace: WorkspaceId, *, surface: str, groups: Mapping[str, str]
) -> None:
    """Mirror these groups and no others; members of one that is kept are kept."""
    await tx.run(
        """
        DELETE FROM mirrored_groups g WHERE g.surface = %(surface)s AND NOT EXISTS (
            SELECT FROM unnest(%(names)s::text[], %(ids)s::text[]) AS n (name, external_id)
            WHERE n.name = g.name AND n.external_id = g.external_id)
        """,
        {"surface": surface, "names": list(groups), "ids": list(groups.values())},
    )
    await tx.run(
        """
        INSERT INTO mirrored_groups (workspace_id, name, surface, external_id)
        SELECT %(workspace)s, n.name, %(surface)s, n.external_id
        FROM unnest(%(names)s::text[], %(ids)s::text[]) AS n (name, external_id)
        ON CONFLICT DO NOTHING
        """,
        {
            "workspace": workspace,
            "surface": surface,
            "names": list(groups),
            "ids": list(groups.values()),
        },
    )


async def take_due(tx: Transaction, *, surface: str) -> list[MirroredGroup]:
    """Groups that should be asked for now; two that look at once do not get the same."""
    return await tx.all(
        MirroredGroup,
        """
        UPDATE mirrored_groups SET asked_at = openloop.now()
        WHERE surface = %(surface)s
          AND (asked_at IS NULL OR asked_at < openloop.now() - make_interval(secs => %(fresh)s / 2))
        RETURNING name, surface, external_id, members, mirrored_at, false AS is_stale, problem
        """,
        {"surface": surface, "fresh": FRESH_SECONDS},
    )


async def save(
    tx: Transaction,
    *,
    name: str,
    external_id: str,
    tenant: str,
    members: Sequence[str],
    problem: str,
) -> None:
    """What the platform said; with a problem the members stay until they are stale."""
    await tx.run(
        """
        UPDATE mirrored_groups SET problem = %(problem)s,
            members = CASE WHEN %(problem)s = '' THEN %(members)s ELSE members END,
            tenant = CASE WHEN %(problem)s = '' THEN %(tenant)s ELSE tenant END,
            mirrored_at = CASE WHEN %(problem)s = '' THEN openloop.now() ELSE mirrored_at END
        WHERE name = %(name)s AND external_id = %(external_id)s
        """,
        {
            "name": name,
            "external_id": external_id,
            "tenant": tenant,
            "members": list(members),
            "problem": problem,
        },
    )


async def list_members(tx: Transaction) -> dict[str, frozenset[str]]:
    """The names of active people in each mirrored group; of a stale one nobody."""
    found = await tx.tuples(
        """
        SELECT g.name, p.name FROM mirrored_groups g
        CROSS JOIN LATERAL unnest(g.members) AS m (external_id)
        JOIN identities i ON i.external_id = m.external_id AND i.surface = g.surface
                         AND i.tenant IN (g.tenant, '')
        JOIN principals p ON p.id = i.principal_id AND p.active
        WHERE g.mirrored_at > openloop.now() - make_interval(secs => %(stale)s)
        LIMIT 20000
        """,
        {"stale": STALE_SECONDS},
    )
    groups: dict[str, set[str]] = {}
    for group, person in found:
        groups.setdefault(group, set()).add(person)
    return {group: frozenset(people) for group, people in groups.items()}


async def list_all(tx: Transaction) -> list[MirroredGroup]:
    """Every mirrored group."""
    return await tx.all(
        MirroredGroup,
        """
        SELECT name, surface, external_id, members, mirrored_at, problem,
               mirrored_at IS NULL
               OR mirrored_at <= openloop.now() - make_interval(secs => %(stale)s) AS is_stale
        FROM mirrored_groups ORDER BY name LIMIT 500
        """,
        {"stale": STALE_SECONDS},
    )
