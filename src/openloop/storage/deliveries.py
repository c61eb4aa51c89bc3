"""Both dedupe keys of what came in, and installations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.ids import WorkspaceId

if TYPE_CHECKING:
    from openloop.storage.database import Transaction


async def take_once(tx: Transaction, workspace: WorkspaceId, surface: str, key: str) -> bool:
    """True the first time this key is taken."""
    return bool(
        await tx.run(
            """
            INSERT INTO taken_keys (workspace_id, surface, key) VALUES (%(workspace)s, %(surface)s, %(key)s)
            ON CONFLICT DO NOTHING
            """,
            {"workspace": workspace, "surface": surface, "key": key},
        )
    )


async def sweep(tx: Transaction, *, keep_days: int, limit: int) -> int:
    """Forget keys older than any platform redelivers (GitHub's rule: 90 days)."""
    return await tx.run(
        """
        DELETE FROM taken_keys WHERE (workspace_id, surface, key) IN (
            SELECT workspace_id, surface, key FROM taken_keys
            WHERE taken_at < openloop.now() - make_interval(days => %(days)s) LIMIT %(limit)s)
        """,
        {"days": keep_days, "limit": limit},
    )


async def find_workspace(tx: Transaction, surface: str, tenant: str) -> WorkspaceId | None:
    """Whose installation this is (directory door)."""
    return await tx.value(
        "SELECT workspace_id FROM installations WHERE surface = %(surface)s AND tenant = %(tenant)s",
        {"surface": surface, "tenant": tenant},
    )


async def list_tenants(tx: Transaction, workspace: WorkspaceId) -> set[tuple[str, str]]:
    """What this workspace is installed in: surfaces, each with its tenant."""
    found = await tx.tuples(
        """
        SELECT surface, tenant FROM installations WHERE workspace_id = %(workspace)s LIMIT 1000
        """,
        {"workspace": workspace},
    )
    return {(row[0], row[1]) for row in found}


async def install(
    tx: Transaction, surface: str, tenant: str, workspace: WorkspaceId
) -> WorkspaceId:
    """Note whose installation this is; returns the owner, who may be somebody else (directory)."""
    return await tx.value(
        """
        INSERT INTO installations (surface, tenant, workspace_id)
        VALUES (%(surface)s, %(tenant)s, %(workspace)s)
        ON CONFLICT (surface, tenant) DO UPDATE SET surface = EXCLUDED.surface
        RETURNING workspace_id
        """,
        {"surface": surface, "tenant": tenant, "workspace": workspace},
    )
